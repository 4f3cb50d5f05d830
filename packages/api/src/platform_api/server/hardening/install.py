"""Puts our classes where Hypercorn 0.18.0 looks up its own."""

from types import ModuleType

import h11._readers
import hypercorn.asyncio.run
import hypercorn.asyncio.tcp_server
import hypercorn.protocol
import hypercorn.protocol.h11
import hypercorn.protocol.ws_stream

from platform_api.server.hardening.accept_failures import Asyncio
from platform_api.server.hardening.after_the_end import SilentAfterEnd, ToldEnd
from platform_api.server.hardening.app_queue import UnblockedTaskGroup
from platform_api.server.hardening.bounded_close import BoundedClose
from platform_api.server.hardening.close_code import RememberingConnection, ToldCloseCode
from platform_api.server.hardening.close_deadline import CloseDeadline
from platform_api.server.hardening.cut_off import CutOffConnection
from platform_api.server.hardening.frame_rate import FrameRate, SlicedConnection
from platform_api.server.hardening.head_deadline import NoticedHead
from platform_api.server.hardening.http1_only import Http1Only
from platform_api.server.hardening.invited_body import InvitedBody
from platform_api.server.hardening.message_limit import BoundedMessages
from platform_api.server.hardening.refused_upgrade import CleanRefusal, StrictHandshake
from platform_api.server.hardening.released_parser import ReleasedParser
from platform_api.server.hardening.send_after_end import HarmlessSend
from platform_api.server.hardening.send_deadline import SendDeadline
from platform_api.server.hardening.shed_load import ShedLoad
from platform_api.server.hardening.strict_http import LINEAR_FIELD, StrictHttp


class HardenedConnection(CutOffConnection, ToldEnd, ShedLoad, SendDeadline, BoundedClose):
    """One TCP connection."""


class HardenedHttp(NoticedHead, SilentAfterEnd, InvitedBody, ReleasedParser, StrictHttp, Http1Only):
    """HTTP/1.1 on one connection."""


class HardenedWebSocket(
    CleanRefusal,
    HarmlessSend,
    CloseDeadline,
    FrameRate,
    ToldCloseCode,
    BoundedMessages,
):
    """One WebSocket."""


class HardenedFrames(RememberingConnection, SlicedConnection):
    """The parser of one WebSocket's frames."""


# The module that looks a name up, the name, and what it finds from now on.
REPLACED: tuple[tuple[ModuleType, str, object], ...] = (
    (hypercorn.asyncio.run, "TCPServer", HardenedConnection),
    (hypercorn.asyncio.run, "asyncio", Asyncio("asyncio")),
    (hypercorn.asyncio.tcp_server, "TaskGroup", UnblockedTaskGroup),
    (hypercorn.protocol, "H11Protocol", HardenedHttp),
    (hypercorn.protocol.h11, "WSStream", HardenedWebSocket),
    (hypercorn.protocol.ws_stream, "Connection", HardenedFrames),
    (hypercorn.protocol.ws_stream, "Handshake", StrictHandshake),
    (h11._readers, "header_field_re", LINEAR_FIELD),
)


def install() -> None:
    """Replace each name. A second time changes nothing."""
    for module, name, ours in REPLACED:
        setattr(module, name, ours)
