"""The container and compose files name what there is: files, extras, the command line, the port."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from shoal.adapters.postgres import PASSWORD_VARIABLE, URL_VARIABLE, namespace_of
from shoal.cli.main import app
from shoal.config import StoreConfig
from shoal.domain.secret_keys import FIELD_KEYS, PSEUDONYM_KEY
from shoal.service.endpoint import PUBLIC
from shoal.workflows.webhooks import VARIABLE as WEBHOOK_KEY

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions of the container file: (name, the rest)."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    parts = (line.split(maxsplit=1) for line in whole.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, rest in parts]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def only(steps: list[tuple[str, str]], name: str) -> str:
    [found] = [rest for step, rest in steps if step == name]
    return found


def served(arguments: list[str]) -> dict[str, Any]:
    """What the command line makes of the arguments of `shoal`."""
    name, *rest = arguments
    command: Any = typer.main.get_command(app)
    return dict(command.commands[name].make_context(name, rest).params)


def test_what_is_copied_is_there_and_let_through(steps: list[tuple[str, str]]) -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignore[0] == "*"
    copied = [rest.split()[:-1] for name, rest in steps if name == "COPY" and "--from" not in rest]
    sources = [source for some in copied for source in some]
    assert {"src", "pyproject.toml", "constraints.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore, source


def test_what_is_installed_is_offered(steps: list[tuple[str, str]]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installs = [rest for name, rest in steps if name == "RUN" and "pip install" in rest]
    assert len(installs) == 1 and "'.[postgres]'" in installs[0]
    assert "-c constraints.txt" in installs[0]
    # What pip is told besides is for who builds to say: no index is named here.
    assert "$PIP_OPTIONS" in installs[0] and ("ARG", "PIP_OPTIONS=") in steps
    assert "index" not in installs[0] and "://" not in installs[0]
    assert "postgres" in project["optional-dependencies"]
    bases = {rest.split()[0] for name, rest in steps if name == "FROM"}
    assert bases == {"python:3.11-slim-bookworm"}
    assert project["requires-python"] == ">=3.11"
    assert project["readme"] == "README.md"


def test_it_runs_as_nobody_in_particular_and_serves_the_volume(
    steps: list[tuple[str, str]], services: dict[str, Any]
) -> None:
    user = only(steps, "USER").split(":")[0]
    assert user.isdigit() and int(user) >= 1000
    assert json.loads(only(steps, "ENTRYPOINT")) == ["shoal"]
    port = int(only(steps, "EXPOSE"))
    for arguments in (json.loads(only(steps, "CMD")), services["shoal"]["command"]):
        told = served(arguments)
        assert (str(told["shop"]), told["port"]) == (only(steps, "VOLUME"), port)
        assert told["host"] == "0.0.0.0"
    assert services["shoal"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"shop:{only(steps, 'VOLUME')}" in services["shoal"]["volumes"]
    assert "/health" in PUBLIC
    for check in (only(steps, "HEALTHCHECK"), " ".join(services["shoal"]["healthcheck"]["test"])):
        assert f"http://127.0.0.1:{port}/health" in check


def test_secrets_come_from_files_and_the_environment(
    services: dict[str, Any], tmp_path: Path
) -> None:
    told = services["shoal"]["environment"]
    assert set(told) == {
        URL_VARIABLE, PASSWORD_VARIABLE, WEBHOOK_KEY, PSEUDONYM_KEY, FIELD_KEYS,
    }  # fmt: skip
    assert told[WEBHOOK_KEY] is told[PSEUDONYM_KEY] is told[FIELD_KEYS] is None
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    named = {URL_VARIABLE: told[URL_VARIABLE], PASSWORD_VARIABLE: str(secret)}
    made = namespace_of(StoreConfig("shop"), tmp_path, named)
    database = services["postgres"]["environment"]
    assert made is not None
    user, name = database["POSTGRES_USER"], database["POSTGRES_DB"]
    assert made.url == f"postgresql+psycopg://{user}:s3cret@postgres/{name}"
    assert told[PASSWORD_VARIABLE] == database["POSTGRES_PASSWORD_FILE"]
    assert [key for key in database if "PASSWORD" in key] == ["POSTGRES_PASSWORD_FILE"]
    [(secret_name, source)] = compose()["secrets"].items()
    assert told[PASSWORD_VARIABLE] == f"/run/secrets/{secret_name}"
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert f"/{Path(source['file']).parent.name}/" in ignored


def test_each_service_is_watched_and_kept_small(services: dict[str, Any]) -> None:
    assert set(services) == {"shoal", "postgres"}
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert services["shoal"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    # On the socket a server answers already while the database is being made.
    assert "--host 127.0.0.1" in " ".join(services["postgres"]["healthcheck"]["test"])
    assert "ports" not in services["postgres"]
    assert compose()["networks"]["inside"] == {"internal": True}


def test_the_image_is_built_and_never_fetched(services: dict[str, Any]) -> None:
    service = services["shoal"]
    assert service["build"]["dockerfile"] == "Containerfile"
    assert service["build"]["args"] == {"PIP_OPTIONS": None}  # from the environment of who builds
    assert service["pull_policy"] == "never"


def test_compose_reads_its_file() -> None:
    docker = shutil.which("docker")
    asked = [docker or "docker", "compose", "--file", str(ROOT / "compose.yaml"), "config", "-q"]
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True,
                                        check=False).returncode:  # fmt: skip
        pytest.skip("docker compose is not installed")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
