import inspect
from collections.abc import Iterable, Iterator
from typing import Any, get_origin, get_type_hints
from uuid import UUID

import pytest
from dependency_injector.providers import Provider, Selector, Singleton

from platform_api.cli.unconnected import unconnected_container
from platform_api.container import Container
from platform_api.realtime.topic import EventUndeclared
from platform_config import EventsSettings
from platform_domain.events import TopicName
from platform_domain.projects import ProjectDeleted, ProjectId

ENGINES = pytest.mark.parametrize("engine", ["memory", "postgres", "valkey"])


@ENGINES
def test_everything_can_be_built_without_any_io(engine: str) -> None:
    container = container_with(engine)

    container.check_dependencies()
    built = {name: provider() for name, provider in container.providers.items()}

    assert built["server"] is container.server()
    assert len(built["features"]) == len(container.features())


@pytest.mark.anyio
async def test_what_features_declare_can_be_published_whoever_asks_first() -> None:
    container = container_with("memory")

    await container.events().publish(
        TopicName("user:alice"), ProjectDeleted(ProjectId(UUID(int=7)))
    )
    with pytest.raises(EventUndeclared):
        await container.events().publish(
            TopicName("users:alice"), ProjectDeleted(ProjectId(UUID(int=7)))
        )

    (head,) = await container.bus().heads([TopicName("user:alice")])
    assert head.offset == 1


@ENGINES
def test_every_constructor_gets_what_it_asks_for(engine: str) -> None:
    """The injector does not check types, and neither does mypy look through it."""
    wrong = [
        f"{provider.cls.__name__}({name}=…) asks for {wanted}, gets {type(value).__name__}"
        for provider in singletons(container_with(engine))
        for name, wanted, value in given(provider)
        if not fits(value, wanted)
    ]

    assert wrong == []


def container_with(engine: str) -> Container:
    container = unconnected_container()
    events = EventsSettings.model_validate(
        {"events_engine": engine, "valkey_url": "valkey://localhost"}
    )
    container.settings.override(container.settings().model_copy(update={"events": events}))
    return container


def singletons(container: Container) -> Iterator[Singleton[Any]]:
    seen: set[int] = set()

    def below(provider: Any) -> Iterator[Singleton[Any]]:
        if id(provider) in seen or not isinstance(provider, Provider):
            return
        seen.add(id(provider))
        if isinstance(provider, Singleton) and inspect.isclass(provider.cls):
            yield provider
        for inner in chosen(provider):
            yield from below(inner)

    for provider in container.providers.values():
        yield from below(provider)


def chosen(provider: Provider[Any]) -> Iterable[Provider[Any]]:
    if isinstance(provider, Selector):
        return [provider.providers[str(provider.selector and provider.selector())]]
    return provider.related


def given(provider: Singleton[Any]) -> Iterator[tuple[str, Any, Any]]:
    types = get_type_hints(provider.cls.__init__)
    parameters = list(inspect.signature(provider.cls).parameters)
    arguments = dict(zip(parameters, provider.args, strict=False)) | provider.kwargs
    for name, argument in arguments.items():
        if name in types:
            yield name, types[name], argument() if isinstance(argument, Provider) else argument


def fits(value: Any, wanted: Any) -> bool:
    """Check classes and ports, which adapters name as their base; other types are mypy's."""
    return get_origin(wanted) is not None or not inspect.isclass(wanted) or wanted in bases(value)


def bases(value: Any) -> tuple[type, ...]:
    # A whole number is a fine answer to who asks for a float (PEP 484).
    return (*type(value).__mro__, float) if isinstance(value, int) else type(value).__mro__
