"""Settings: environment variables ``GATEHOUSE_*``, each with a default that works on a laptop."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_DATABASE = "sqlite:///var/gatehouse.db"


class Settings(BaseSettings):
    """Everything that an operator can set. ``gatehouse doctor`` shows the values in force, without secrets."""

    model_config = SettingsConfigDict(env_prefix="GATEHOUSE_", extra="ignore", frozen=True)

    database_url: str = Field(DEFAULT_DATABASE, description="sqlite:///path or postgresql://user@host/name")
    data_dir: Path | None = Field(
        None, description="where models, segments and the key file live; default: beside the SQLite file, or var/"
    )
    segments_url: str | None = Field(None, description="fsspec URL of raw usage; default: beside the database file")
    retention_days: int = Field(400, ge=31, description="how long raw usage is kept")
    hmac_keys: str | None = Field(
        None,
        description="keyring: content:BASE64,ID:BASE64@SINCE[,...], current key first; default: a generated local file",
    )
    ip_country_mmdb: Path | None = Field(None, description="your own country table instead of the bundled one")
    ip_asn_mmdb: Path | None = Field(None, description="your own network table instead of the bundled one")
    starter_model: Path | None = Field(None, description="artefact used while the registry has no champion")
    friction_budget: float = Field(0.001, gt=0, lt=1, description="share of legitimate accounts that may be touched")
    two_analysts_above: int = Field(
        100, ge=0, description="a verdict on more members of a campaign than this waits for a second analyst"
    )
    least_analysts: int = Field(
        2,
        ge=1,
        description="whose labels of fraud a model must rest on to be promoted by itself, above as many frauds as that",
    )
    explore: float = Field(
        0.005,
        ge=0,
        le=0.2,
        description="share of accounts to challenge or review that is let through to learn about them; 0: none",
    )
    export_keys: Path | None = Field(
        None,
        description="CSV of key_type, key_hash, text: what exports show for these keys; default: keyed hashes",
    )
    threads: int = Field(64, ge=1, le=512, description="threads that answer calls; one that is being scored holds none")
    max_concurrent: int = Field(192, ge=1, description="calls in flight before the server sheds")
    default_deadline_s: float = Field(10.0, gt=0, description="for calls that come without a deadline")
    drain_s: float = Field(10.0, ge=0, description="how long calls in flight may finish after SIGTERM")
    model_poll_s: float = Field(2.0, gt=0, le=5, description="how often a server looks for a promoted model")
    log_level: str = Field("info", description="debug, info, warning or error")

    def home(self) -> Path:
        """The folder for everything kept in files."""
        if self.data_dir is not None:
            return self.data_dir
        path = sqlite_path(self.database_url)
        return path.parent if path is not None else Path("var")

    def models_dir(self) -> Path:
        """Where model artefacts are written."""
        return self.home() / "models"

    def keyring_file(self) -> Path:
        """Where generated keys live when the environment gives none."""
        return self.home() / "keyring.json"


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for other databases."""
    scheme, _, rest = url.partition(":///")
    return Path(rest) if scheme.partition("+")[0] == "sqlite" else None
