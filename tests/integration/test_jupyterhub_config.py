"""What JupyterHub is told: scopes lead to no verdict, notebooks hold no secret of the hub, Lab asks no internet."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from jupyterhub.scopes import _expand_scope, define_custom_scopes
from jupyterlab_server.config import get_page_config
from traitlets.config import Config, JSONFileConfigLoader

from support.hub import ACCESS, OPERATE, PEOPLE, PREFIX, READ, REVIEW, SUBMIT, TrialHub
from synthema_core.request import Status
from synthema_hub.settings import HubPorts, Settings
from synthema_hub.spawner import LocalSpawner, seed_home, tutorials_folder
from synthema_hub.state import HubState

CONFIG = Path(__file__).parents[2] / "hub" / "jupyterhub_config.py"
PORTS = HubPorts(browser=8000, gateway=8443, hub_api=4001, proxy_api=4002, service=4003, superlink=4004)
EVERYTHING = (READ, SUBMIT, REVIEW, OPERATE)


@pytest.fixture
def state(tmp_path: Path) -> HubState:
    return HubState.initialise(tmp_path / "hub")


@pytest.fixture
def config(state: HubState, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file, run as JupyterHub runs it."""
    for name, value in Settings(state.folder, PORTS).to_environment().items():
        monkeypatch.setenv(name, value)
    made = Config()
    exec(compile(CONFIG.read_text(), CONFIG, "exec"), {"get_config": lambda: made})
    return made


# Scopes.


def test_each_group_may_what_its_people_do_and_reads_with_it(config: Any) -> None:
    groups = {role["groups"][0]: set(role["scopes"]) for role in config.JupyterHub.load_roles if "groups" in role}
    assert {group: set(EVERYTHING) & scopes for group, scopes in groups.items()} == {
        "researcher": {SUBMIT},
        "data-owner": {REVIEW},
        "operator": {OPERATE},
    }
    define_custom_scopes(dict(config.JupyterHub.custom_scopes))
    for scope in (SUBMIT, REVIEW, OPERATE):
        assert _expand_scope(scope) == {scope, READ}, "no scope includes another group's"


def test_only_the_operator_sees_other_users(config: Any) -> None:
    for role in config.JupyterHub.load_roles:
        others = {scope for scope in role["scopes"] if scope not in EVERYTHING}
        if role["name"] == "operator":
            assert others == {"admin-ui", "list:users"}
        else:
            assert others <= {"self", "access:services!service=federation"}
    assert not config.Authenticator.get("admin_users")


def test_a_notebooks_token_reaches_its_server_and_the_federation_only(config: Any) -> None:
    """Not its owner's whole account ('self', 'tokens'): what runs in a notebook holds this token."""
    own = {"users:activity!user", "access:servers!server", "access:services!service=federation"}
    assert set(config.Spawner.server_token_scopes) == {*own, *EVERYTHING}
    (service,) = config.JupyterHub.services
    assert set(service["oauth_client_allowed_scopes"]) == set(EVERYTHING)


def test_all_scopes_together_give_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with a true Review at hand, which only a site may send."""
    monkeypatch.setitem(PEOPLE, "root", (ACCESS, *EVERYTHING))
    hub = TrialHub(tmp_path / "trial")
    request = hub.submitted()
    true_review = hub.review(request, "alder").to_dict()
    assert hub.person("root", "GET", f"api/requests/{request}").status_code == 200
    for path in ("/sites/reviews", f"/sites/requests/{request}/receipt"):
        answer = hub.call("POST", path, json=true_review, headers={"authorization": "Bearer root"})
        assert answer.status_code == 401
    for path in ("sites/reviews", *(f"api/requests/{request}/{verb}" for verb in ("review", "approval", "rejection"))):
        assert hub.person("root", "POST", path, json=true_review).status_code == 404, PREFIX + path
    assert hub.record(request).request.verdicts == {}
    assert hub.status(request) is Status.UNDER_REVIEW


# What is passed to notebooks.


@pytest.fixture
def spawner(config: Any) -> LocalSpawner:
    hub = SimpleNamespace(api_url="http://127.0.0.1:4001/hub/api", base_url="/hub/", public_host="")
    user = SimpleNamespace(name="rosalind", url="/user/rosalind/", escaped_name="rosalind")
    return LocalSpawner(config=config, hub=hub, user=user, api_token="notebook-token", oauth_client_id="notebook")


def test_a_notebook_is_passed_no_secret_of_the_hub(
    spawner: LocalSpawner, state: HubState, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONFIGPROXY_AUTH_TOKEN", "JUPYTERHUB_CRYPT_KEY", "SYNTHEMA_JOB_TOKEN_FILE", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hub-secret")
    environment = spawner.get_env()
    assert environment["JUPYTERHUB_API_TOKEN"] == "notebook-token"
    assert environment["SYNTHEMA_FEDERATION_URL"] == "http://127.0.0.1:8000/services/federation"
    secrets = {"hub-secret", state.job_token(), state.control_token(), state.exec_secret_path.read_text()}
    said = "\n".join([*environment.values(), *spawner.cmd, *spawner.args])
    assert not [secret for secret in secrets if secret in said]
    assert not environment.keys() & Settings(state.folder, PORTS).to_environment().keys()
    in_state = {name for name, value in environment.items() if str(state.folder) in value}
    assert {environment[name] for name in in_state} == {str(state.folder / "homes" / "rosalind")}, "its home alone"


def test_the_service_is_told_where_its_state_is_and_no_secret(config: Any, state: HubState) -> None:
    (service,) = config.JupyterHub.services
    assert Settings.from_environment(service["environment"]) == Settings(state.folder, PORTS)
    assert len(service["environment"]) == 2


def test_everything_but_the_gateway_listens_on_this_machine_alone(config: Any) -> None:
    (service,) = config.JupyterHub.services
    urls = [config.JupyterHub.bind_url, config.JupyterHub.hub_bind_url, config.ConfigurableHTTPProxy.api_url]
    found = [urlsplit(url) for url in (*urls, service["url"])]
    assert {url.hostname for url in found} == {"127.0.0.1"}
    assert [url.port for url in found] == [PORTS.browser, PORTS.hub_api, PORTS.proxy_api, PORTS.service]


# Lab.


def test_lab_asks_the_internet_for_nothing(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = config.Spawner.environment["JUPYTER_CONFIG_PATH"]
    lab = JSONFileConfigLoader("jupyter_server_config.json", folder).load_config().LabApp
    assert (lab.news_url, lab.extension_manager) == (None, "readonly")
    module, _, name = lab.check_for_updates_class.rpartition(".")
    assert getattr(importlib.import_module(module), name).__name__ == "NeverCheckForUpdate"
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", folder)
    disabled = get_page_config([])["disabledExtensions"]
    assert {"@jupyterlab/apputils-extension:announcements", "@jupyterlab/extensionmanager-extension:plugin"} <= set(
        disabled
    )


def test_a_new_home_has_the_tutorials_and_keeps_what_its_user_wrote(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "rosalind"
    seed_home(home)
    assert home.stat().st_mode & 0o077 == 0
    tutorials = {path.name for path in tutorials_folder().glob("*.ipynb")}
    assert tutorials and {path.name for path in (home / "tutorials").iterdir()} == tutorials
    first, *others = sorted((home / "tutorials").iterdir())
    first.write_text("mine")
    for other in others:
        other.unlink()
    seed_home(home)
    assert first.read_text() == "mine"
    assert {path.name for path in (home / "tutorials").iterdir()} == tutorials
