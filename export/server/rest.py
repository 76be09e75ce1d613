"""The REST side: the paths, forms and status codes of TF Serving."""

from __future__ import annotations

import http.server
import json
import re
import socketserver
import threading
from typing import Any

from absl import logging
from google.protobuf.json_format import MessageToDict

from export.server.json_tensors import ROWS, read_inputs, write_outputs
from export.server.predict import Predictor
from export.server.refusal import HTTP_STATUS, Refusal, invalid
from export.server.version import DEFAULT_SIGNATURE

PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?(?P<what>/metadata|:\w+)?"
)
CHUNK_BYTES = 1 << 20
IDLE_SECONDS = 30  # a client that neither sends nor reads is dropped


class RestServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers on (host, port), a thread a request, until ``shutdown``."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(
        self, address: tuple[str, int], predictor: Predictor, max_request_bytes: int, max_connections: int
    ) -> None:
        self.predictor = predictor
        self.max_request_bytes = max_request_bytes
        self._room = threading.Semaphore(max_connections)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers in a new thread; further connections wait in the socket's own queue."""
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Makes room for the next connection when this one is answered."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says in the log, not to the client, that a connection broke."""
        logging.info("The connection of %s broke.", client_address, exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RestServer
    server_version, sys_version = "tf_simclr", ""
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:
        logging.debug(format, *arguments)

    def _get(self) -> dict[str, Any]:
        match = self._match()
        name, number = match["name"], self._number(match)
        if match["what"] is None:
            return _status(self.server.predictor, name, number)
        if match["what"] != "/metadata":
            raise self._malformed()
        with self.server.predictor.version(name, number) as version:
            signatures = {
                key: MessageToDict(signature, preserving_proto_field_name=True)
                for key, signature in version.signature_defs.items()
            }
            spec = {"name": name, "signature_name": "", "version": str(version.number)}
            return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}

    def _post(self) -> dict[str, Any]:
        match = self._match()
        if match["what"] != ":predict":
            raise self._malformed()
        body = self._body()
        predictor = self.server.predictor
        with predictor.version(match["name"], self._number(match)) as version:
            signature = body.get("signature_name", DEFAULT_SIGNATURE)
            if not isinstance(signature, str) or signature not in version.signature_defs:
                raise invalid(f'Serving signature name: "{signature}" not found in signature def')
            inputs = read_inputs(body, predictor.inputs_of(version, signature))
            return write_outputs(predictor.predict(version, signature, inputs), ROWS in body)

    def _match(self) -> re.Match[str]:
        match = PATH.fullmatch(self.path)
        if match is None:
            raise self._malformed()
        return match

    def _malformed(self) -> Refusal:
        return invalid(f"Malformed request: {self.command} {self.path}")

    def _number(self, match: re.Match[str]) -> int | None:
        if match["label"]:
            raise invalid(f"Unrecognized servable version label: {match['label']}")
        return int(match["version"]) if match["version"] else None

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise invalid("The request needs a Content-Length.")
        if int(length) > self.server.max_request_bytes:
            self._discard(min(int(length), 4 * self.server.max_request_bytes))
            raise Refusal(
                "RESOURCE_EXHAUSTED", f"The request is larger than {self.server.max_request_bytes} bytes."
            )
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise invalid("JSON Parse error: the request's body is no JSON.") from error
        if not isinstance(body, dict):
            raise invalid("JSON Parse error: the request's body must be an object.")
        return body

    def _discard(self, length: int) -> None:
        """Reads on, so that the client has sent all and reads the answer; closing at once would lose it."""
        while length > 0 and (data := self.rfile.read(min(length, CHUNK_BYTES))):
            length -= len(data)

    def _answer(self, make: Any) -> None:
        try:
            status, values = 200, make()
        except Refusal as refusal:
            status, values = HTTP_STATUS[refusal.code], {"error": str(refusal)}
        except (TimeoutError, ConnectionError):
            raise  # Nobody is there to be answered.
        except Exception:
            logging.exception("A request failed.")
            status, values = 500, {"error": "The request failed; the server's log says why."}
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _status(predictor: Predictor, name: str, asked: int | None) -> dict[str, Any]:
    predictor.check_name(name)
    versions = [
        {
            "version": str(number),
            "state": state.state,
            "status": {"error_code": "UNKNOWN" if state.error else "OK", "error_message": state.error},
        }
        for number, state in predictor.model.states().items()
        if asked in (None, number)
    ]
    if not versions:
        raise Refusal("NOT_FOUND", f"Could not find any versions of model {name}")
    return {"model_version_status": versions}
