"""Who may use the service."""

import base64
import ipaddress
from collections.abc import Iterator

import httpx
import pytest

from serving.service.access import read_keys
from serving.service.settings import Access, ServiceSettings
from serving.service.settings_file import read_settings
from spine.errors import PlumblineError
from tests.serving.service.running import KEY, Running, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running() as started:
        yield started


def asked(service: Running, headers: dict[str, str], path: str = "/metrics") -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{service.port}{path}", headers=headers)


def test_a_key_comes_in_three_ways_and_names_the_client(service):
    basic = base64.b64encode(f"anybody:{KEY}".encode()).decode()
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}, {"Authorization": f"Basic {basic}"}):
        assert asked(service, headers).status_code == 200
    asked(service, {"X-API-Key": KEY}, "/openapi.json")
    assert service.lines()[-1]["client"] == "ris"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "KEY_MISSING"),
        ({"Authorization": f"Bearer {KEY[:-1]}"}, "KEY_WRONG"),
        ({"Authorization": f"Bearer {KEY}x"}, "KEY_WRONG"),
        ({"Authorization": "Basic !!!"}, "KEY_WRONG"),
        ({"X-Remote-User": "dr"}, "KEY_MISSING"),
    ],
)
def test_without_a_key_the_answer_is_401_and_the_key_is_not_logged(service, headers, code):
    answer = asked(service, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    schemes = [value.split()[0] for value in answer.headers.get_list("www-authenticate")]
    assert schemes == ["Basic", "Bearer"], "a header each, for browsers"
    assert KEY[:-1] not in service.log.getvalue()


def test_health_needs_no_key(service):
    assert asked(service, {}, "/healthz").json() == {"status": "alive"}
    assert asked(service, {}, "/readyz").json()["model"]["name"] == "champion version 1"


def test_the_page_of_another_origin_is_refused_even_with_a_key(service):
    own = {"X-API-Key": KEY, "Origin": f"http://127.0.0.1:{service.port}"}
    assert asked(service, own).status_code == 200
    form = {"X-API-Key": KEY, "Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert asked(service, form).status_code == 200, "the form of a page that sends no referrer"
    for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert asked(service, {"X-API-Key": KEY, **foreign}).json()["code"] == "ORIGIN_REFUSED"


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 200), ("10.0.0.0/8", 401)])
def test_a_person_is_believed_from_a_trusted_proxy_only(network, status):
    access = Access(identity_header="X-Remote-User", trusted_proxies=(ipaddress.ip_network(network),))
    with running(ServiceSettings(access=access)) as service:
        answer = asked(service, {"X-Remote-User": "r.viewer", "X-Forwarded-For": "127.0.0.1"})
        assert answer.status_code == status
        assert asked(service, {}).status_code == 401
        clients = [line["client"] for line in service.lines() if line.get("route") == "/metrics"]
        assert not clients  # probes that succeed are not logged
        asked(service, {"X-Remote-User": "r.viewer"}, "/openapi.json")
        assert (service.lines()[-1]["client"] == "r.viewer") == (status == 200)


def test_without_keys_only_the_names_of_this_machine_are_accepted():
    with running(ServiceSettings(access=Access(without_keys=True))) as service:
        assert asked(service, {}).status_code == 200
        assert asked(service, {"Host": "rebound.example"}).json()["code"] == "HOST_REFUSED"


def test_keys_come_from_a_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# clients\nris {KEY}\n\npacs {'p' * 20}  # the loop\n")
    assert read_keys(path) == {"ris": KEY, "pacs": "p" * 20}
    for text in ("", "ris", f"ris {'k' * 19}", f"ris {KEY}\nris {KEY}", f"ris {KEY} more"):
        path.write_text(text)
        with pytest.raises(PlumblineError) as refused:
            read_keys(path)
        assert refused.value.code == "KEYS_INVALID"
        assert "kkk" not in str(refused.value)


def test_settings_are_strict_and_secrets_are_in_files_of_their_own(tmp_path):
    (tmp_path / "keys").write_text(f"ris {KEY}\n")
    (tmp_path / "pacs").write_text("Basic abc\n")
    path = tmp_path / "service.toml"
    path.write_text(
        '[limits]\nbody_mib = 3\n[access]\nkeys_file = "keys"\n'
        '[pacs.main]\nurl = "http://pacs/dicom-web"\nauthorization_file = "pacs"\n'
    )
    settings = read_settings(path)
    assert settings.limits.body_bytes == 3 << 20
    assert settings.access.keys == {"ris": KEY}
    assert settings.pacs["main"].headers == {"Authorization": "Basic abc"}
    assert KEY not in repr(settings)
    for text, code in (
        ("[limits]\nqueue = -1", "SETTINGS_INVALID"),
        ("[limit]", "SETTINGS_INVALID"),
        ("[", "SETTINGS_INVALID"),
        ("", "ACCESS_UNCLEAR"),
        ('[access]\nidentity_header = "X-User"', "ACCESS_UNCLEAR"),
        ('[pacs.a]\nurl = "file:///etc"', "SETTINGS_INVALID"),
    ):
        path.write_text(text)
        with pytest.raises(PlumblineError) as refused:
            read_settings(path)
        assert refused.value.code == code
