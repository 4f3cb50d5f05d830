"""Whether a value can be NULL and why, and the built-ins whose result never is."""

from collections.abc import Iterable
from dataclasses import dataclass

from platform_queries.lock import Nullable


@dataclass(frozen=True, slots=True)
class Verdict:
    """`of_parameter` marks the verdict on a parameter itself."""

    nullable: Nullable
    reason: str
    of_parameter: bool = False

    @property
    def is_never(self) -> bool:
        return self.nullable is Nullable.NEVER


def never(reason: str) -> Verdict:
    return Verdict(Nullable.NEVER, reason)


def can(reason: str) -> Verdict:
    return Verdict(Nullable.CAN, reason)


def unknown(reason: str) -> Verdict:
    return Verdict(Nullable.UNKNOWN, reason)


def strictest(verdicts: Iterable[Verdict], reason: str) -> Verdict:
    """Of a value that is NULL when any of its inputs is; `reason` is for one that never is."""
    found = list(verdicts)
    for kind in (Nullable.CAN, Nullable.UNKNOWN):
        for verdict in found:
            if verdict.nullable is kind:
                return verdict
    return never(reason)


def mildest(verdicts: Iterable[Verdict], reason: str) -> Verdict:
    """Of a value that is NULL only when all of its inputs are, like COALESCE."""
    found = list(verdicts)
    if any(verdict.is_never for verdict in found):
        return never(reason)
    if all(verdict.nullable is Nullable.CAN for verdict in found):
        return can(f"{reason} of values that all can be NULL")
    return unknown(f"{reason} of values of which none is known to be NOT NULL")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALWAYS = _words(
    """
    clock_timestamp concat gen_random_uuid json_build_array json_build_object jsonb_build_array
    jsonb_build_object now num_nonnulls num_nulls pg_backend_pid pg_current_xact_id pg_typeof pi
    random statement_timestamp timeofday transaction_timestamp txid_current uuidv4 uuidv7 version
    """
)
"""Never NULL whatever the arguments are, unless they come as one VARIADIC array."""

TOTAL = _words(
    """
    abs array_append array_cat array_prepend array_remove array_replace array_to_json
    array_to_string ascii bit_length btrim cardinality cbrt ceil ceiling char_length
    character_length chr concat_ws convert_from convert_to currval date_trunc decode div encode exp
    floor format gcd hashtext initcap isempty isfinite jsonb_array_length jsonb_insert jsonb_pretty
    jsonb_set jsonb_strip_nulls jsonb_typeof json_array_length json_typeof justify_days
    justify_hours justify_interval lcm left length ln log lpad ltrim make_date make_interval
    make_time make_timestamp make_timestamptz md5 mod nextval ntile numnode octet_length overlay
    phraseto_tsquery plainto_tsquery position pow power quote_ident quote_literal regexp_count
    regexp_like regexp_replace regexp_split_to_array repeat replace reverse right round row_to_json
    rpad rtrim setval setweight sha224 sha256 sha384 sha512 sign split_part sqrt starts_with
    string_to_array strpos substr timezone to_hex to_json to_jsonb to_timestamp to_tsquery
    to_tsvector translate trunc ts_headline ts_rank ts_rank_cd upper_inc lower_inc
    websearch_to_tsquery width_bucket
    """
)
"""Never NULL when no argument is. `extract` is not here: of infinity it is NULL for most fields."""

TOTAL_FOR_TEXT = frozenset({"lower", "upper"})
"""Like TOTAL for text; for an empty or unbounded range they are NULL."""

SETS = _words(
    """
    generate_series generate_subscripts json_array_elements json_object_keys jsonb_array_elements
    jsonb_object_keys regexp_split_to_table
    """
)
"""Functions in FROM whose rows are never NULL."""

AGGREGATES = frozenset({"count", "regr_count"})
"""Never NULL, even over no rows."""

AGGREGATES_OF_ROWS = frozenset({"array_agg", "json_agg", "jsonb_agg"})
"""Never NULL over at least one row, whatever is in it."""

AGGREGATES_OF_VALUES = _words(
    "any_value avg bit_and bit_or bit_xor bool_and bool_or every max min string_agg sum"
)
"""Never NULL over at least one value that is not NULL."""

WINDOW_FUNCTIONS = frozenset({"row_number", "rank", "dense_rank", "percent_rank", "cume_dist"})

PARTIAL_OPERATORS = frozenset({"->", "->>", "#>", "#>>", "@?"})
"""NULL where a JSON value has no such member. `@@` is another for jsonb, and total for texts."""

GEOMETRIC = "G"
"""The category of types whose operators may find no point, segment or box to return."""
