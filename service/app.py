"""The one place that names concrete classes and wires them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from service.domain.errors import ArtefactProblem, NotReady
from service.domain.time import DAY, micros
from service.settings import DEFAULT_DATABASE, Settings

# Names of types only. What an App has is imported where it is made: with all of it here, `gatehouse db check` loaded
# LightGBM, the wire and the exports, and took 3 s.
if TYPE_CHECKING:
    from service.domain.records import ModelRecord
    from service.policy.exploration import Exploration
    from service.rpc.ports import UseCases
    from service.signals.door import Door
    from service.signals.keyring import Keyring
    from service.signals.reference.tables import AddressTables
    from service.storage.store import Store
    from service.storage.writer import Writer
    from service.usecases.champion import Models
    from service.usecases.compare_shadow import CompareShadow
    from service.usecases.detect import Detect
    from service.usecases.export_indicators import ExportIndicators
    from service.usecases.models import PromoteModel, RollBackModel, ShadowModel
    from service.usecases.rescore import Rescore
    from service.usecases.review_campaign import ReviewCampaign
    from service.usecases.shadow import Shadow
    from service.usecases.together import Together
    from service.usecases.watch_drift import WatchDrift

log = structlog.get_logger(__name__)

# Cores are shared with other workers: idle OpenMP threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

CHORE_EVERY = 150  # rounds of the follower, 2 s each by default

STREAMED = 65_536  # accounts of streams that may wait to be scored; what each stream brings at a time is bounded

STARTER_GROUP = "gatehouse.starter"

TrainStarter = Callable[[Path], None]


@dataclass
class App:
    """The product on one database. Parts are made when first asked for, so that `models list` loads no door."""

    settings: Settings
    store: Store
    _rounds: int = 0  # how often chores were asked for

    @classmethod
    @contextmanager
    def open(cls, settings: Settings, *, upgrade: bool, serving: bool = False) -> Iterator[App]:
        """The product on ``settings.database_url``; raises DatabaseProblem where that cannot be used as it is.

        ``serving``: it answers many calls at once, and must not grow with the database.
        """
        from service.storage.store import open_store

        if upgrade and settings.database_url == DEFAULT_DATABASE:
            settings.home().mkdir(parents=True, exist_ok=True)
        store = open_store(settings.database_url, segments=settings.segments_url, upgrading=upgrade, serving=serving)
        app = cls(settings, store)
        try:
            yield app
        finally:
            app.close()

    def close(self) -> None:
        """Writes what waits and closes the database."""
        for part in ("score_accounts", "score_streams", "writer", "shadow"):
            running = self.__dict__.pop(part, None)
            if running is not None:
                running.close()
        self.store.close()

    @cached_property
    def keyring(self) -> Keyring:
        """The secrets of link keys."""
        return open_keyring(self.settings)

    @cached_property
    def door(self) -> Door:
        """The door."""
        from service.signals.door import Door

        return Door(self.keyring, open_tables(self.settings))

    @cached_property
    def writer(self) -> Writer:
        """The thread that commits together all that wait."""
        from service.storage.writer import Writer

        return Writer(self.store)

    @cached_property
    def models(self) -> Models:
        """The champion; not loaded until ``load_model``."""
        from service.usecases.champion import Models

        return Models(self.store, self.model_directory, self._exploration())

    def _exploration(self) -> Exploration:
        """The slice let through; its secret follows from the keyring, which every server of an installation has."""
        from service.policy.exploration import OFF, Exploration

        if not self.settings.explore:
            return OFF
        return Exploration(self.settings.explore, self.keyring.derived("exploration"))

    def model_directory(self, record: ModelRecord) -> Path:
        """Where a registered model's files are: as recorded, or else in this installation's folder of models."""
        recorded = Path(record.location)
        return recorded if recorded.is_dir() else self.settings.models_dir() / record.version

    def load_model(self) -> None:
        """Loads the champion. Where there is none yet, the starter model becomes it.

        Raises NotReady where there is none and no starter can be had, ArtefactProblem where it cannot be used.
        """
        if self.store.champion() is None:
            self._adopt_starter()
        self.models.refresh()

    def _adopt_starter(self) -> None:
        from service.usecases.starter import adopt_starter

        directory = self.settings.starter_model
        if directory is None:
            directory = self.settings.models_dir() / "starter"
            if not directory.is_dir():
                train = _starter_trainer()
                if train is None:
                    raise NotReady(
                        "there is no model: nothing was promoted, GATEHOUSE_STARTER_MODEL is not set, and training is "
                        "not installed here; run `gatehouse train` where it is, or set GATEHOUSE_STARTER_MODEL"
                    )
                with _one_at_a_time(directory):
                    if not directory.is_dir():  # another worker may have trained it meanwhile
                        log.info("starter_training_started", why="no model was promoted yet")
                        train(directory)
        if not directory.is_dir():
            raise ArtefactProblem(f"GATEHOUSE_STARTER_MODEL names {directory}, which is not a model directory")
        record = adopt_starter(self.store, directory, now=micros(datetime.now(UTC)))
        log.warning(
            "starter_model_in_use",
            model=record.version,
            why="no model trained on your accounts was promoted yet; `gatehouse train` makes one",
        )

    def maintain(self, now: int) -> None:
        """Chores of a running server.

        Now and then waiting raw usage goes into a segment, and outlived segments and what crashes left behind go.
        """
        self._rounds += 1
        if self._rounds % CHORE_EVERY == 0:
            self.store.flush_usage_log()
            self.store.prune_usage(now - self.settings.retention_days * DAY)
            self.store.clean_segments(now - DAY)

    @cached_property
    def score_accounts(self) -> Together:
        """The deed of scoring, for many callers at once."""
        from service.usecases.score_accounts import ScoreAccounts
        from service.usecases.together import Together

        return Together(ScoreAccounts(self.store, self.writer, self.door, self.models, self.shadow))

    @cached_property
    def score_streams(self) -> Together:
        """The same for batches of streams, in a queue of their own.

        Whoever asked about one account every second or two beside a stream of signups waited 431 ms in the median where
        batches of both stood in one queue, 135 with two. Batches of streams wait for their turn where single callers
        would be refused: how many streams there are is bounded, and how much each has under way.
        """
        from service.usecases.score_accounts import ScoreAccounts
        from service.usecases.together import Together

        score = ScoreAccounts(self.store, self.writer, self.door, self.models, self.shadow)
        return Together(score, waiting=STREAMED)

    @cached_property
    def shadow(self) -> Shadow:
        """The deed of scoring with a challenger beside the champion."""
        from service.usecases.shadow import Shadow

        return Shadow(self.models, self.store)

    @cached_property
    def rescore(self) -> Rescore:
        """The periodic job; its model is loaded when first asked for."""
        from service.usecases.rescore import Rescore

        self.load_model()
        return Rescore(self.store, self.models, self.shadow)

    @cached_property
    def watch_drift(self) -> WatchDrift:
        """The deed of comparing what was scored lately with what the champion learned from."""
        from service.usecases.watch_drift import WatchDrift

        return WatchDrift(self.store)

    @cached_property
    def promote_model(self) -> PromoteModel:
        """The deed of making a model the champion."""
        from service.usecases.models import PromoteModel

        return PromoteModel(self.store, self.model_directory)

    @cached_property
    def roll_back_model(self) -> RollBackModel:
        """The deed of making the champion before champion again."""
        from service.usecases.models import RollBackModel

        return RollBackModel(self.store, self.model_directory)

    @cached_property
    def shadow_model(self) -> ShadowModel:
        """The deed of letting a model score beside the champion."""
        from service.usecases.models import ShadowModel

        return ShadowModel(self.store, self.model_directory)

    @cached_property
    def compare_shadow(self) -> CompareShadow:
        """The deed of comparing the model that shadows with the champion."""
        from service.usecases.compare_shadow import CompareShadow

        return CompareShadow(self.store)

    @cached_property
    def review_campaign(self) -> ReviewCampaign:
        """The deed of giving a verdict on a campaign."""
        from service.usecases.review_campaign import ReviewCampaign

        return ReviewCampaign(self.store, self.settings.two_analysts_above)

    @cached_property
    def export_indicators(self) -> ExportIndicators:
        """The deed of exporting what marks a campaign."""
        from service.usecases.export_indicators import ExportIndicators

        return ExportIndicators(self.store, self.settings.export_keys)

    @cached_property
    def detect(self) -> Detect:
        """The periodic job that finds campaigns, for one moment after the other."""
        return self._detect(once=False)

    @cached_property
    def detect_once(self) -> Detect:
        """The same for a single moment."""
        return self._detect(once=True)

    def _detect(self, *, once: bool) -> Detect:
        from service.linking.judge import shipped
        from service.usecases.detect import Detect
        from service.usecases.pair_models import PairModels

        return Detect(self.store, shipped(), pair_models=PairModels(self.settings.models_dir()), once=once)

    def use_cases(self) -> UseCases:
        """Everything that the servicers can be asked for."""
        from service.rpc.ports import UseCases
        from service.usecases.assessments import GetAssessment, ListAssessments
        from service.usecases.campaigns import GetCampaign, ListCampaignMembers, ListCampaigns
        from service.usecases.erase_account import EraseAccount
        from service.usecases.labels import ListLabels, RecordLabels, RetractLabel
        from service.usecases.models import GetModel, ListModels
        from service.usecases.record_signals import RecordSignals

        store = self.store
        return UseCases(
            score_accounts=self.score_streams,
            ask_scores=self.score_accounts.ask,
            get_assessment=GetAssessment(store, self.models),
            list_assessments=ListAssessments(store),
            record_signals=RecordSignals(self.writer, self.door),
            erase_account=EraseAccount(store),
            record_labels=RecordLabels(store),
            retract_label=RetractLabel(store),
            list_labels=ListLabels(store),
            list_models=ListModels(store),
            get_model=GetModel(store),
            promote_model=self.promote_model,
            roll_back_model=self.roll_back_model,
            list_campaigns=ListCampaigns(store),
            get_campaign=GetCampaign(store),
            list_campaign_members=ListCampaignMembers(store),
            review_campaign=self.review_campaign,
            export_indicators=self.export_indicators,
        )


def keyring_is_there(settings: Settings) -> bool:
    """Whether ``open_keyring`` would find keys, and generate none."""
    return settings.hmac_keys is not None or settings.keyring_file().exists()


def open_keyring(settings: Settings) -> Keyring:
    """The environment's keys, or a local file's, generated with a warning where there is none yet."""
    from service.signals.keyring import Keyring, local_keyring

    if settings.hmac_keys is not None:
        return Keyring.parse(settings.hmac_keys)
    path = settings.keyring_file()
    keyring, generated = local_keyring(path, micros(datetime.now(UTC)))
    if generated:
        log.warning(
            "keyring_generated",
            file=path.name,
            mend="fine for one machine; for several set GATEHOUSE_HMAC_KEYS, and back this file up: "
            "without it link keys cannot be matched again",
        )
    return keyring


def open_tables(settings: Settings) -> AddressTables:
    """The address tables, the operator's own where set."""
    from service.signals.reference.tables import AddressTables

    return AddressTables(settings.ip_country_mmdb, settings.ip_asn_mmdb)


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Keeps other processes of this machine from making ``directory`` at the same time; released however one ends."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f".{directory.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _starter_trainer() -> TrainStarter | None:
    """The trainer of starter models, where training is installed; service itself never imports it."""
    for entry in entry_points(group=STARTER_GROUP):
        found: TrainStarter = entry.load()
        return found
    return None
