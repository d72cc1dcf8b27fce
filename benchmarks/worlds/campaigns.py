"""Campaigns: one operator behind many accounts, each of which looks like anybody's."""

from __future__ import annotations

import numpy as np

from benchmarks.worlds.addresses import Ground, gateway_of, servers
from benchmarks.worlds.pace import chance_of_use, day_factor, expected, pace_of
from benchmarks.worlds.people import FRAMEWORKS, FUNDING, ISSUERS, METHODS, bin_number
from benchmarks.worlds.roster import NEVER, SLOTS, Crew, Mode, Roster, World
from benchmarks.worlds.tactics import Tactic
from training.simulate import names
from training.simulate.places import places
from training.simulate.rng import DAY, HOUR, Floats, Ints, generator, mix, pick, salt, zipf

SIZES = (60, 500)
MEAN_SIZE = 250
PER_DAY = 26.0  # exchanges of a member
_CARD, _PREPAID = METHODS.index("card"), METHODS.index("prepaid")


def campaign_sizes(rng: np.random.Generator, count: int, accounts: int) -> list[int]:
    """Log-uniform sizes, of draws the one nearest to MEAN_SIZE; smaller in small worlds by the square root."""
    if count == 0:
        return []
    draws = np.exp(rng.uniform(np.log(SIZES[0]), np.log(SIZES[1]), (256, count)))
    raw = draws[np.argmin(np.abs(draws.mean(axis=1) - MEAN_SIZE))]
    smaller = min(1.0, accounts / 52_850) ** 0.5
    sizes = np.maximum(20, np.rint(raw * (MEAN_SIZE * smaller / raw.mean()))).astype(np.int64)
    return [int(size) for size in sizes]


def begin_days(rng: np.random.Generator, count: int, days: int) -> list[float]:
    """When campaigns begin, spread over the first half, so that each can be caught early and is seen for weeks."""
    turns = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / max(count, 1)
    found: list[float] = (days * (0.06 + 0.4 * rng.permutation(turns))).tolist()
    return found


def run_campaign(world: World, common: Ground, rows: Ints, tactic: Tactic, begin: float, number: int) -> None:
    """Turn ``rows`` into one campaign that begins ``begin`` days into the period.

    Honest people's rows must be complete by now: it borrows from them.
    """
    rng = generator(world.seed, "worlds-campaign", number)
    honest = np.flatnonzero(np.array([kind == "individual" for kind in world.kind]) & (world.roster.first_use < NEVER))
    _sign_up(world, rng, rows, tactic, begin)
    _pose(world.roster, rng, rows)
    _settle(world, common, rng, rows, tactic, honest)
    _write_mail(world.roster, rng, rows, tactic)
    _take_cards(world, rng, rows, tactic, number)
    _take_devices(world, rng, rows, tactic, number)
    _work(world, rng, rows, tactic, number)


def _sign_up(world: World, rng: np.random.Generator, rows: Ints, tactic: Tactic, begin: float) -> None:
    roster, span, size = world.roster, world.span, len(rows)
    start = span.start + begin * DAY
    how, scale = tactic.does["signups"], span.scale * DAY
    if how == "lots":
        lot = rng.integers(0, int(rng.integers(3, 7)), size)
        at: Floats = start + lot * rng.uniform(1.0, 2.2) * scale + rng.uniform(0, 5 * HOUR, size)
    elif how == "two_waves":
        at = start + (rng.random(size) < 0.45) * rng.uniform(5, 8) * scale + rng.exponential(0.7, size) * scale
    elif how == "drip":
        at = start + rng.uniform(0, rng.uniform(10, 15), size) * scale
    else:
        at = start - rng.uniform(4, 45, size) * DAY
    # The last days of the period see no new members: whoever is to be found must have done something.
    latest = span.end - max(1.0, 6 * span.scale) * DAY - rng.uniform(0, 0.5, size) * scale
    roster.created[rows] = np.clip(at, span.opening, latest).astype(np.int64)
    idle = rng.exponential(0.15 if how in {"lots", "two_waves"} else 0.6, size) * scale
    first = roster.created[rows] + idle
    if how == "aged":
        quick = tactic.does["timing"] == "woken"
        first = start + rng.exponential(0.15 if quick else 2.0, size) * scale
    roster.first_use[rows] = np.minimum(first, span.end - 5 * span.scale * DAY).astype(np.int64)
    # Accounts are given up one by one, as people leave.
    given_up = rng.random(size) < tactic.number["given_up"]
    stays = (rng.uniform(5, 25, size) * scale).astype(np.int64) + 2 * DAY
    roster.last_use[rows] = np.where(given_up, roster.first_use[rows] + stays, NEVER)


def _pose(roster: Roster, rng: np.random.Generator, rows: Ints) -> None:
    """Volumes of an ordinary day; every member works."""
    size = len(rows)
    roster.active[rows] = np.maximum(rng.beta(4.0, 1.3, size), 0.5)
    roster.rate[rows] = PER_DAY * rng.gamma(4, 1 / 4, size)
    roster.weekend[rows] = rng.choice([0.6, 1.0], size)
    roster.spread[rows] = rng.uniform(0.3, 0.8)
    roster.ramp[rows] = 0.0
    roster.boost[rows] = 1.0
    roster.bare[rows] = False
    roster.framework[rows] = -1
    roster.fixed[rows] = True
    roster.plan[rows] = pick(rng, np.array([3.0, 2, 3, 1]) * rng.uniform(0.2, 1, 4), size)
    roster.source[rows] = pick(rng, rng.dirichlet([2.0, 1, 1, 1, 1]), size)


def _settle(world: World, common: Ground, rng: np.random.Generator, rows: Ints, tactic: Tactic, honest: Ints) -> None:
    roster, size, how = world.roster, len(rows), tactic.does["addresses"]
    lines = roster.own[rows].copy()
    homes = _borrowed(roster, rng, rows, honest, tactic.number["homes_per_member"])
    roster.weights[rows] = np.cumsum(rng.dirichlet([4.0, 2.0, 1.0, 0.5], size), axis=1)
    if how == "kept_homes":
        roster.own[rows] = homes
    elif how == "server_blocks":
        block = servers(rng, max(8, size // 3), per_net=int(rng.integers(5, 10)))
        roster.own[rows] = block[rng.integers(0, len(block), (size, SLOTS))]
        at_home = rng.random((size, SLOTS)) < 0.4
        roster.own[rows] = np.where(at_home, homes, roster.own[rows])
    elif how == "rotated_homes":
        roster.own[rows] = homes
        world.share_addresses(rows, np.unique(homes), 0.8, days=1)
    elif how == "gateways":
        country = roster.country[rows]
        roster.own[rows] = np.stack([gateway_of(rng, common, country) for _ in range(SLOTS)], axis=1)
        at_home = rng.random((size, SLOTS)) < 0.15
        roster.own[rows] = np.where(at_home, homes, roster.own[rows])
    else:
        exits = common.exits[rng.integers(0, len(common.exits), (size, SLOTS))]
        roster.own[rows] = np.where(rng.random((size, SLOTS)) < 0.35, homes, exits)
    # Some lines are nobody else's, as most people's are.
    roster.own[rows] = np.where(rng.random((size, SLOTS)) < 0.25, lines, roster.own[rows])


def _borrowed(roster: Roster, rng: np.random.Generator, rows: Ints, honest: Ints, per_member: float) -> Ints:
    """Homes of honest people in each member's country, (n, SLOTS); about ``per_member`` different ones each."""
    found = roster.own[rows].copy()
    for country in np.unique(roster.country[rows]).tolist():
        mine = np.flatnonzero(roster.country[rows] == country)
        there = honest[roster.country[honest] == country]
        if not len(there):
            continue
        pool = roster.own[rng.choice(there, max(1, round(per_member * len(mine)))), 0]
        first = rng.integers(0, len(pool), len(mine)) if per_member < 1 else np.arange(len(mine))
        reach = max(1, round(per_member))
        for slot in range(SLOTS):
            found[mine, slot] = pool[(first * reach + slot % reach) % len(pool)]
    return found


def _write_mail(roster: Roster, rng: np.random.Generator, rows: Ints, tactic: Tactic) -> None:
    how, size = tactic.does["mail"], len(rows)
    like_anybodys = rng.random(size) < tactic.number["ordinary_mail"]
    mine = rows[~like_anybodys]
    roster.shape[rows] = pick(rng, names.SHAPE_WEIGHTS, size)
    roster.domain[mine] = None
    if how in {"catch_all", "small_domains"}:
        low, high = (15, 40) if how == "catch_all" else (3, 7)
        count = max(2, round(len(mine) / rng.uniform(low, high)))
        domains = names.invented_domains(rng, count)
        roster.domain[mine] = [domains[k] for k in rng.integers(0, count, len(mine)).tolist()]
    if how == "catch_all":
        roster.shape[mine] = _shape(rng, ("first.last", "firstlast+2", "flast+4", "random"))
    elif how == "one_shape":
        roster.domain[mine] = str(rng.choice(["gmail.com", "outlook.com", "hotmail.com", "proton.me"]))
        roster.shape[mine] = _shape(rng, ("first.last+4", "firstlast+3", "first+6", "flast+4"))
    elif how == "words":
        roster.shape[mine] = _shape(rng, ("nick+3", "nick+5"))
    elif how == "aged":
        elsewhere = mine[rng.random(len(mine)) < 0.5]
        everywhere = names.FREE[""]
        roster.domain[elsewhere] = [everywhere[k] for k in rng.integers(0, len(everywhere), len(elsewhere)).tolist()]


def _shape(rng: np.random.Generator, options: tuple[str, ...]) -> int:
    return names.SHAPES.index(options[int(rng.integers(0, len(options)))])


def _take_cards(world: World, rng: np.random.Generator, rows: Ints, tactic: Tactic, number: int) -> None:
    roster, size, how = world.roster, len(rows), tactic.does["cards"]
    roster.pays[rows] = rng.random(size) < (0.12 if how == "hardly_any" else tactic.number["pays"])
    roster.method[rows] = _CARD
    roster.next_card[rows] = 0
    roster.declines[rows] = rng.beta(1.5, 12, size)
    roster.disputes[rows] = rng.choice([0.005, 0.02, 0.05])
    roster.card_country[rows] = roster.country[rows]
    roster.card_bin[rows] = bin_number(roster.country[rows], zipf(rng, ISSUERS, size, 0.9))
    special = rows[rng.random(size) >= tactic.number["ordinary_issuer"]]
    if how == "bin_lots":
        issued = pick(rng, places().shares, int(rng.integers(1, 4)))
        lots = bin_number(issued, rng.integers(ISSUERS // 2, ISSUERS, len(issued)))  # printed rarely, but not for it
        lot = rng.integers(0, len(lots), len(special))
        roster.card_bin[special], roster.card_country[special] = lots[lot], issued[lot]
        roster.funding[special] = FUNDING.index(str(rng.choice(["debit", "prepaid", "credit"])))
    elif how == "prepaid":
        roster.method[special], roster.funding[special] = _PREPAID, FUNDING.index("prepaid")
        issued = np.full(len(special), pick(rng, places().shares, 1)[0])
        roster.card_country[special] = issued
        roster.card_bin[special] = bin_number(issued, rng.integers(0, 4, len(special)))
    elif how == "shared_rotation":
        count = max(2, round(size / rng.uniform(9, 22)))
        cards = mix(np.arange(count) + 1000 * number, salt(world.seed, "worlds-campaign-card"))
        place = rng.integers(0, count, size)
        owners = pick(rng, places().shares, count)
        issuer = bin_number(owners, zipf(rng, ISSUERS, count, 0.9))
        roster.card[rows], roster.next_card[rows] = cards[place], cards[(place + 1) % count]
        roster.card_bin[rows], roster.card_country[rows] = issuer[place], owners[place]


def _take_devices(world: World, rng: np.random.Generator, rows: Ints, tactic: Tactic, number: int) -> None:
    roster, size, how = world.roster, len(rows), tactic.does["devices"]
    on_pool = rows[rng.random(size) < tactic.number["shared_device"]]
    members_on_one = {"own": 1, "small_pool": 12, "emulators": 5, "pairs": 2, "unread": 1}[how]
    key = salt(world.seed, "worlds-campaign-device")
    if members_on_one > 1:
        farm = rng.integers(0, max(1, len(on_pool) // members_on_one), len(on_pool))
        roster.device[on_pool] = mix(farm + 1000 * number, key)
    if how == "unread":
        roster.device[rows[rng.random(size) < 0.6]] = 0


def _work(world: World, rng: np.random.Generator, rows: Ints, tactic: Tactic, number: int) -> None:
    roster, span, size = world.roster, world.span, len(rows)
    timing, dealing, written = tactic.does["timing"], tactic.does["dealing"], tactic.does["templates"]
    listed = tactic.number["listed"]
    _clock(world, rng, rows, timing)
    _toolbox(world, rng, rows, tactic)
    roster.resale[rows] = tactic.number["resale"] * rng.uniform(0.8, 1.0, size)
    roster.public[rows] = tactic.number["public"]
    roster.repeats[rows] = rng.beta(1, 4, size)
    windows: tuple[tuple[float, float], ...] = ()
    if timing == "windows":
        windows = tuple((float(rng.uniform(0, 24)), float(rng.uniform(2, 4.5))) for _ in range(int(rng.integers(1, 4))))
    tempo = _tempo(rng, span.days, span.release) if timing == "bursts" else None
    volume = np.array([expected(roster, span, day, rows, tempo) for day in range(span.days)])
    items = max(12, round(float(volume.sum()) * listed / tactic.number["askers"]))
    shards = max(1, round(size / (rng.uniform(8, 16) if dealing == "shards" else rng.uniform(17, 28))))
    # Items that are compared are open for some hours.
    window = max(3, round(items / shards * float(volume.max() / volume.sum()) * rng.uniform(0.3, 0.8)))
    template = -1
    if written == "public" or (written == "own_and_public" and rng.random() < 0.3):
        template = int(rng.integers(0, FRAMEWORKS // 3))
    if written == "own_and_public":
        roster.framework[rows], roster.framework_share[rows] = (
            int(rng.integers(0, FRAMEWORKS // 3)),
            rng.uniform(0.3, 0.6),
        )
    crew = Crew(
        name=f"campaign-{number}",
        members=rows,
        mode=Mode[dealing.upper()],
        items=items,
        window=min(window, items),
        shards=min(shards, items // 4),
        overlap=int(rng.integers(2, 4)),
        lag=max(1, round(rng.uniform(2, 5) * span.scale)),
        pace=pace_of(volume),
        reworded=tactic.number["reworded"],
        templates=int(rng.integers(2, 6)),
        public_template=template,
        renewed=max(2, round(rng.uniform(3, 6) * span.scale)) if written == "renewed" else 0,
        prefixed=written != "none",
        windows=windows,
        shifts=int(rng.integers(3, 6)) if timing == "shifts" else 0,
        tempo=tempo,
        trends=round(tactic.number["trends"]),
        token_z=(float(rng.normal(6.2, 0.6)), tactic.number["token_spread"], float(rng.normal(5.2, 0.6))),
    )
    world.join(crew, listed=listed, template=0.0 if written == "none" else tactic.number["through_template"])
    _take_part(world, rows, tempo)


def _take_part(world: World, rows: Ints, tempo: Floats | None) -> None:
    """See that every member asks some three dozen items: taking part in the work is what makes it a member."""
    roster, span = world.roster, world.span
    there = (np.minimum(roster.last_use[rows], span.end) - roster.first_use[rows]) / DAY
    roster.active[rows] = np.maximum(roster.active[rows], np.clip(6.0 / np.maximum(there, 0.1), 0.0, 1.0))
    each: Floats = np.zeros(len(rows))
    for day in range(span.days):
        factor = day_factor(roster, span, day, rows) * (1.0 if tempo is None else tempo[day])
        each += roster.rate[rows] * chance_of_use(roster, span, day, rows) * factor
    missing = np.maximum(1.0, 36.0 / np.maximum(each * roster.listed[rows], 1e-6))
    raised = np.minimum(0.9, roster.listed[rows] * missing)
    roster.rate[rows] *= np.minimum(missing * roster.listed[rows] / raised, 20.0)
    roster.listed[rows] = raised


def _clock(world: World, rng: np.random.Generator, rows: Ints, timing: str) -> None:
    roster, size = world.roster, len(rows)
    if timing in {"continuous", "bursts", "woken"}:
        roster.kappa[rows] = 0.05
    elif timing == "imitated":
        roster.kappa[rows] = rng.gamma(4.0, 0.45, size)
        roster.ramp[rows] = rng.uniform(6, 20, size) * world.span.scale
    roster.session[rows] = np.exp(rng.normal(1.9, 0.5, size)) + 1
    roster.gap[rows] = np.exp(rng.normal(np.log(60.0), 0.6, size))


def _toolbox(world: World, rng: np.random.Generator, rows: Ints, tactic: Tactic) -> None:
    roster, size, how = world.roster, len(rows), tactic.does["clients"]
    usual = rng.choice(5, 2, replace=False)
    if how in {"one", "one_and_leaks"}:
        kept = rows if how == "one" else rows[rng.random(size) < 0.7]
        roster.client[kept], roster.second_share[kept] = usual[0], 0.0
    elif how == "two":
        roster.client[rows], roster.second_client[rows] = usual[rng.integers(0, 2, size)], usual[0]
    alike = rows[rng.random(size) < (0.8 if how == "one" else 0.4)]
    roster.models[alike] = np.cumsum(rng.dirichlet([0.6, 0.9, 0.6, 0.4, 0.5]))
    roster.adopts[rows] = world.span.start + int((world.span.release + rng.uniform(0.0, 1.5)) * DAY)


def _tempo(rng: np.random.Generator, days: int, release: int) -> Floats:
    """Quiet days and loud ones: the day of the release and some others, at 26 exchanges on average."""
    tempo = np.full(days, 0.45)
    loud = rng.choice(days, max(1, days // 9), replace=False)
    tempo[loud] = rng.uniform(2.5, 4.0, len(loud))
    tempo[release : release + 2] = rng.uniform(3.5, 5.0)
    even: Floats = tempo / tempo.mean()
    return even
