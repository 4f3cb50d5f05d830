"""Programs that measure the real server, on Linux.

```
uv run python -m benchmarks.reads --rate 200 --seconds 20
uv run python -m benchmarks.sockets --sockets 500 --rate 2 --seconds 60 --resets 50
uv run python -m benchmarks.sockets --sockets 500 --rate 2 --seconds 30 --events
uv run python -m benchmarks.idle --sockets 10000
uv run python -m benchmarks.stuck
uv run --group benchmarks python -m benchmarks.fanout --sockets 5000
```

Each starts `serve` with a new embedded PostgreSQL of full durability and its log as JSON in a
file, and leaves nothing behind. With two cores or more the server has the first one to itself; the
client and PostgreSQL share the second. Exit code 1: a target is missed, or an answer is missing.

The load is open-loop: messages are due at fixed times, and none waits for an earlier answer. A
latency runs from when the message was *due*, so a server that stalls cannot hide it by slowing the
client down ("coordinated omission"). It includes the client's own delay, which is reported as well:
where `client late` is near a latency, the client was the limit.
"""
