"""JSON Schemas of pydantic types, each model once under a name that clients like to read."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from platform_api.declaration import DeclarationInvalid

REFERENCE = "#/components/schemas/{model}"

EXAMPLES: Mapping[str, Any] = {
    "boolean": True,
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "integer": 1,
    "null": None,
    "number": 1.5,
    "uri": "https://example.org/",
    "uuid": "0d9c3c5e-3f1c-4a39-9b2c-2f3b7c1d8e90",
}
"""By `format` or else `type`."""

Types = Mapping[str, tuple[Any, JsonSchemaMode]]
"""A key of the asker's, the type, and whether it is read (`validation`) or written."""


class Schemas:
    """The schemas of `types`, made in one go: only so does a model get one name everywhere."""

    def __init__(self, types: Types) -> None:
        """Raises `DeclarationInvalid` when two models have the same name."""
        adapters = [(key, mode, TypeAdapter(type_)) for key, (type_, mode) in types.items()]
        by_key, definitions = TypeAdapter.json_schemas(
            adapters, ref_template=REFERENCE, schema_generator=_Generator
        )
        self._by_key = {key: schema for (key, _), schema in by_key.items()}
        self.models: dict[str, JsonSchemaValue] = definitions.get("$defs", {})
        _refuse_shared_names(self.models)

    def __getitem__(self, key: str) -> JsonSchemaValue:
        """Return the schema asked for by `key`; that of a model is a reference."""
        return self._by_key[key]

    def resolved(self, key: str) -> JsonSchemaValue:
        """Return the schema of the model asked for by `key`, not the reference to it."""
        return self.models[_name(self._by_key[key]["$ref"])]

    def reached_from(self, document: Any) -> dict[str, JsonSchemaValue]:
        """Return the models that `document` refers to, directly or through others."""
        found: dict[str, JsonSchemaValue] = {}
        while new := (self.models.keys() & _references([document, found])) - found.keys():
            found |= {name: self.models[name] for name in new}
        return found

    def example(self, schema: JsonSchemaValue) -> Any:
        """Return a value that fits `schema`: its own example if it has one."""
        match schema:
            case {"$ref": str(target)}:
                return self.example(self.models[_name(target)])
            case {"examples": [first, *_]} | {"enum": [first, *_]} | {"const": first}:
                return first
            case {"anyOf": [first, *_]} | {"oneOf": [first, *_]} | {"allOf": [first, *_]}:
                return self.example(first)
            case {"type": "object"}:
                fields = schema.get("properties", {})
                return {name: self.example(field) for name, field in fields.items()}
            case {"type": "array"}:
                return [self.example(schema.get("items", {}))]
        return EXAMPLES.get(schema.get("format") or schema.get("type", ""), "text")


def reference(name: str) -> JsonSchemaValue:
    return {"$ref": REFERENCE.format(model=name)}


def without_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Return `schema` for a place where a value is left out, but never null."""
    rest = _without(schema, "anyOf")
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) > 1:
        return rest | {"anyOf": choices}
    return choices[0] | rest if choices else rest


def _without(schema: JsonSchemaValue, key: str) -> JsonSchemaValue:
    return {k: v for k, v in schema.items() if k != key}


class _Generator(GenerateJsonSchema):
    def normalize_name(self, name: str) -> str:
        """Write `Page[ProjectView]` as `PageOfProjectView`."""
        words = name.replace("[", "Of").replace(",", "And").replace("]", "").replace(" ", "")
        return super().normalize_name(words)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _untitled(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _untitled(super().dataclass_schema(schema), schema["cls"])

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        return _untitled(super().enum_schema(schema), schema["cls"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out `default: null`: it says no more than that the field may be missing, and
        generators of clients take whatever has a default for always there."""
        found = super().default_schema(schema)
        return found if found.get("default", ...) is not None else _without(found, "default")

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """Call what is written with a default always there, unless it may be a None left out."""
        value: Mapping[str, Any] = field["schema"]
        written = self.mode == "serialization" and "serialization_exclude_if" not in field
        if written and value["type"] == "default":
            return value.get("default", "made by a factory") is not None
        return super().field_is_required(field, total)


def _untitled(schema: JsonSchemaValue, cls: type[Any]) -> JsonSchemaValue:
    """Leave out a title that only repeats the name under which the schema stands anyway."""
    return {k: v for k, v in schema.items() if (k, v) != ("title", cls.__name__)}


def _refuse_shared_names(models: Iterable[str]) -> None:
    # Pydantic tells models of one name apart by their modules, which no client should depend on.
    shared = [name for name in models if "__" in name]
    if shared:
        raise DeclarationInvalid(
            f"Give these models names of their own: {', '.join(sorted(shared))}"
        )


def _references(node: Any) -> set[str]:
    match node:
        case {"$ref": str(target)}:
            return {_name(target)}
        case dict():
            return _references(list(node.values()))
        case list():
            return {name for value in node for name in _references(value)}
        case _:
            return set()


def _name(target: str) -> str:
    return target.rpartition("/")[2]
