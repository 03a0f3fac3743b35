"""The limits: size and time of a body, the queue, the time of a request, and the end of the service."""

import socket
import threading
import time
from contextlib import closing

import httpx
import pytest

from inference import measured_study
from serving.service import measuring
from tests.serving.service.running import KEY, PICTURES, limits, read_all, running, until

pytestmark = pytest.mark.slow
HEAD = f"POST /measure HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n".encode()
FORM = b"Content-Type: multipart/form-data; boundary=x\r\n"


def test_a_body_is_refused_by_its_announced_length_at_once():
    with running() as service:
        began = time.monotonic()
        answer = service.send(HEAD + FORM + b"Content-Length: 1000000000\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"BODY_TOO_LARGE" in answer
        assert time.monotonic() - began < 3


def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_limit():
    with running(limits(body_bytes=1 << 20)) as service:
        chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
        begin = b'--x\r\nContent-Disposition: form-data; name="frontal"; filename="a"\r\n\r\n'
        first = b"%x\r\n%s\r\n" % (len(begin), begin)
        answer = service.send(HEAD + FORM + b"Transfer-Encoding: chunked\r\n\r\n" + first + chunk * 5)
        assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
        assert b"connection: close" in answer.lower()
        assert service.client.get("/healthz").status_code == 200


def test_a_header_of_a_part_has_a_limit():
    with running() as service:
        body = b"--x\r\nContent-Disposition: form-data; name=" + b"a" * (8 << 20) + b"\r\n\r\n1\r\n--x--\r\n"
        began = time.monotonic()
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert service.client.post("/measure", content=body, headers=headers).status_code in (400, 422)
        assert time.monotonic() - began < 5


def test_a_body_that_trickles_is_ended_and_its_place_is_free():
    with running(limits(body_s=0.5, queue=0)) as service:
        with closing(socket.create_connection(("127.0.0.1", service.port), timeout=10)) as slow:
            slow.sendall(HEAD + FORM + b"Content-Length: 100000\r\n\r\n--x\r\n")
            began = time.monotonic()
            answer = read_all(slow)
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 4
        assert service.measure().status_code == 200


def test_a_connection_without_complete_headers_is_closed():
    with running(limits(header_s=1.0)) as service:
        with closing(socket.create_connection(("127.0.0.1", service.port), timeout=10)) as silent:
            assert read_all(silent) == b""
        with closing(socket.create_connection(("127.0.0.1", service.port), timeout=10)) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.3)
            slow.sendall(b"GET /healthz HT")  # the second request of the connection
            began, answer = time.monotonic(), read_all(slow)
            assert answer.count(b"HTTP/1.1 200") == 1
            assert time.monotonic() - began < 4


def test_a_body_that_is_cut_off_leaves_no_place_taken():
    with running(limits(queue=0)) as service:
        with closing(socket.create_connection(("127.0.0.1", service.port))) as cut:
            cut.sendall(HEAD + FORM + b"Content-Length: 100000\r\n\r\n--x\r\n")
            assert until(lambda: "plumbline_places_taken 1.0" in service.client.get("/metrics").text)
        assert until(lambda: "plumbline_places_taken 0.0" in service.client.get("/metrics").text)


class Gate:
    """Stands before the measuring: requests wait in their worker until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.entered = threading.Event(), threading.Semaphore(0)
        measure = measured_study.measure_radiographs

        def waiting(*arguments):
            self.entered.release()
            assert self.opened.wait(30)
            return measure(*arguments)

        monkeypatch.setattr(measuring, "measure_radiographs", waiting)


def post(port: int, answers: list[httpx.Response]) -> threading.Thread:
    files = {"frontal": ("a.png", PICTURES["frontal"])}

    def send() -> None:
        headers = {"X-API-Key": KEY}
        answers.append(httpx.post(f"http://127.0.0.1:{port}/measure", files=files, headers=headers, timeout=60))

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_full_queue_answers_at_once_and_the_event_loop_stays_free(monkeypatch):
    gate, answers = Gate(monkeypatch), []
    with running(limits(queue=1)) as service:
        threads = [post(service.port, answers) for _ in range(2)]
        assert gate.entered.acquire(timeout=20)
        assert until(lambda: "plumbline_places_taken 2.0" in service.client.get("/metrics").text)
        refused = service.measure()
        assert (refused.status_code, refused.json()["code"]) == (503, "SERVICE_BUSY")
        assert int(refused.headers["retry-after"]) >= 1
        gate.opened.set()
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert service.measure().status_code == 200


def test_a_request_that_takes_too_long_is_answered_and_its_place_is_free_when_the_work_ends(monkeypatch):
    gate = Gate(monkeypatch)
    with running(limits(queue=0, request_s=0.5)) as service:
        late = service.measure()
        assert (late.status_code, late.json()["code"]) == (504, "TIME_LIMIT")
        assert service.measure().json()["code"] == "SERVICE_BUSY"
        gate.opened.set()
        assert until(lambda: "plumbline_places_taken 0.0" in service.client.get("/metrics").text)


def test_a_client_that_goes_away_gives_its_place_back(monkeypatch):
    gate = Gate(monkeypatch)
    with running(limits(queue=1)) as service:
        answers: list[httpx.Response] = []
        first = post(service.port, answers)
        assert gate.entered.acquire(timeout=20)
        with pytest.raises(httpx.ReadTimeout):
            service.measure(timeout=httpx.Timeout(10, read=0.3))
        assert until(lambda: "plumbline_places_taken 1.0" in service.client.get("/metrics").text)
        gate.opened.set()
        first.join(60)
        assert [each["status"] for each in service.lines() if each.get("route") == "/measure"] == [499, 200]


def test_running_requests_are_finished_when_the_service_stops(monkeypatch):
    gate, answers = Gate(monkeypatch), []
    with running() as service:
        thread = post(service.port, answers)
        assert gate.entered.acquire(timeout=20)
        threading.Timer(0.5, gate.opened.set).start()
    thread.join(10)
    assert [answer.status_code for answer in answers] == [200]
