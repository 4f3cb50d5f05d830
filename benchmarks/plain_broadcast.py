"""What people write when they want a broadcast: Starlette and a loop over a set.

The measure for ours: `uvicorn benchmarks.plain_broadcast:app --ws websockets-sansio`.
"""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

everybody: set[WebSocket] = set()


async def connect(websocket: WebSocket) -> None:
    await websocket.accept()
    everybody.add(websocket)
    try:
        while True:
            text = await websocket.receive_text()
            for each in list(everybody):
                await each.send_text(text)
    except WebSocketDisconnect:
        everybody.discard(websocket)


app = Starlette(routes=[WebSocketRoute("/", connect)])
