"""The area tree that a feature lies in, by name: `{"city": "深圳市", "district": "福田区", …}`."""

from cim.collections.areas import AREAS, CODE_LENGTHS
from cim.model import Kind, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.masking import hides
from cim.query.predicate import where
from cim.query.source import rows
from cim.sql import Cast, Sql

SHOWN_AREA = Property("area", Kind.JSON, "所属区划", "Names of the areas it lies in, by level")
"""What features show beside their own properties where `areas` asks for it."""

_EVERY = FeatureQuery()


def can_name(scope: Scope) -> bool:
    """True where the caller may know what areas are called."""
    return scope.sees(AREAS.id) and not any(hides(AREAS, scope, name) for name in ("code", "level", "name"))


def names_of(scope: Scope) -> Sql:
    """Expression over `feature.area_code`: the names by level, of those areas that the caller may see; NULL for none."""
    codes = [Sql.of("left(feature.area_code, {})", Cast(digits, "int")) for digits in CODE_LENGTHS.values()]
    return Sql.of(
        "(SELECT jsonb_object_agg(level, name) FROM {} AS named WHERE code = ANY(ARRAY[{}]) AND level IS NOT NULL AND ({}))",
        rows(AREAS, _EVERY, scope),
        Sql.join(", ", codes),
        where(AREAS, _EVERY, scope),
    )
