"""Which field of a source fills which property: guessed from names and values, stated by the caller, saved.

A mapping is shown before a load runs. In text: `height_m=高度` takes a field, `height_m=hgt*0.3048` scales it,
`use==residential` sets a constant, `id=osm_id` names the field that identifies a row; YAML has the same as a
mapping of property to text. A property that no field fills stays empty; a field that fills nothing is kept in
the feature's `attributes`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from cim.errors import InvalidParameter, SourceRefused, UnknownProperty
from cim.model import Collection, Kind
from cim.quoting import nearest
from loaders.base import SourceField, SourceInfo

SAMPLES = 5
"""Distinct values of a field that a loader shows."""

ID_NAMES = (
    "id",
    "编号",
    "唯一编号",
    "建筑编号",
    "楼栋编号",
    "设备编号",
    "站点编号",
    "编码",
    "uid",
    "uuid",
    "guid",
    "gid",
    "osm id",
    "osm way id",
    "fid",
    "objectid",
    "feature id",
    "key",
    "unique key",
    "stn id",
    "wigos station identifier",
    "globalid",
    "bm",
    "bsm",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one property's values come from: a field (times `factor`), or a constant text."""

    field: str | None = None
    factor: float | None = None
    constant: str | None = None

    def __str__(self) -> str:
        if self.field is None:
            return f"={self.constant}"
        return self.field if self.factor is None else f"{self.field}*{self.factor:g}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """`id_field`: None means that the row number identifies a row. `rules`: property → Rule."""

    id_field: str | None = None
    rules: dict[str, Rule] = field(default_factory=dict)

    def to_dict(self) -> dict[str, str]:
        """As `--map` words and as YAML: {"id": "osm_id", "height_m": "高度"}."""
        words = {name: str(rule) for name, rule in self.rules.items()}
        return {"id": self.id_field, **words} if self.id_field else words

    def used_fields(self) -> set[str]:
        """Fields that need not be kept in `attributes`."""
        used = {rule.field for rule in self.rules.values() if rule.field}
        return used | {self.id_field} if self.id_field else used


def plain(name: str) -> str:
    """A field name as it is compared: lower case, separators as one space."""
    return re.sub(r"[\s_\-.:/（）()\[\]]+", " ", name).strip().lower()


def guess(collection: Collection, info: SourceInfo) -> Mapping:
    """The mapping that names and sample values suggest. Each field serves one property."""
    free = {plain(f.name): f for f in reversed(info.fields)}
    rules: dict[str, Rule] = {}
    names = (
        (info.id_field,)
        if info.id_field
        else tuple(n for n in ID_NAMES if plain(n) in free and _identifies(free[plain(n)], info))
    )
    id_field = next((free[plain(n)] for n in names if plain(n) in free), None)
    if id_field is not None:
        del free[plain(id_field.name)]
    for rank in range(1 + max((len(p.aliases) for p in collection.properties), default=0)):
        for target in collection.properties:
            if target.name in rules:
                continue
            names = (target.name, *target.aliases)
            if rank >= len(names):
                continue
            candidate = free.get(plain(names[rank]))
            if candidate is not None and _plausible(candidate, target.kind):
                rules[target.name] = Rule(candidate.name)
                del free[plain(candidate.name)]
    if id_field is None and collection.kind == "areas" and "code" in rules:
        return Mapping(rules["code"].field, rules)
    return Mapping(id_field.name if id_field else None, rules)


def _identifies(candidate: SourceField, info: SourceInfo) -> bool:
    """False when the first rows hold fewer values than there are rows (samples are distinct)."""
    return len(set(candidate.samples)) >= min(SAMPLES, info.feature_count or len(candidate.samples))


def _plausible(candidate: SourceField, kind: Kind) -> bool:
    """False when the samples plainly are of another kind (a `type` of 1, 2, 3 is no use)."""
    samples = [s for s in candidate.samples if s.strip()]
    if kind in (Kind.NUMBER, Kind.INTEGER):
        numeric = [s for s in samples if re.match(r"\s*[^\d\s]{0,2}\s*[+-]?[\d.]", s)]
        return 2 * len(numeric) >= len(samples)
    if kind is Kind.INSTANT:
        return candidate.kind in (Kind.INSTANT, Kind.TEXT)
    if kind is Kind.TEXT:
        return candidate.kind is not Kind.INSTANT
    return True


def parse(words: Iterable[str], collection: Collection, info: SourceInfo) -> Mapping:
    """A mapping from `property=field`, `property=field*factor` and `property==constant` words.

    Raises UnknownProperty for a property the collection lacks, SourceRefused for a field the source lacks.
    """
    known = {f.name for f in info.fields}
    id_field: str | None = None
    rules: dict[str, Rule] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name.strip():
            raise InvalidParameter("map", word, "write property=field, property=field*factor or property==constant")
        name, value = name.strip(), value.strip()
        if name != "id" and not collection.has(name):
            raise UnknownProperty(collection.id, name, ["id", *collection.names()], parameter="map")
        if value.startswith("="):
            rules[name] = Rule(constant=value[1:])
            continue
        rule = _field_rule(value, known, word)
        if name == "id":
            id_field = rule.field
        else:
            rules[name] = rule
    return Mapping(id_field, rules)


def _field_rule(value: str, known: set[str], word: str) -> Rule:
    if value in known:
        return Rule(value)
    scaled = re.fullmatch(r"(.+?)\s*\*\s*(\d+(?:\.\d+)?)", value)
    if scaled and scaled.group(1) in known:
        return Rule(scaled.group(1), float(scaled.group(2)))
    hint = nearest(value, known)
    raise SourceRefused(
        f"--map {word}: the source has no field '{value}'"
        + (f"; did you mean '{hint}'?" if hint else "")
        + f" Its fields: {', '.join(sorted(known)) or 'none'}",
        parameter="map",
    )


def words_of_yaml(text: str) -> list[str]:
    """`--map` words from a YAML mapping of property to field. Raises InvalidParameter."""
    try:
        document: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidParameter("map-file", str(error)[:150], "not YAML") from error
    if not isinstance(document, dict):
        raise InvalidParameter("map-file", type(document).__name__, "a YAML mapping of property to field is needed")
    return [f"{name}={value}" for name, value in document.items()]


def merged(base: Mapping, stated: Mapping) -> Mapping:
    """`base` with what was stated in its place; a field that was stated serves nothing else."""
    taken = {rule.field for rule in stated.rules.values() if rule.field}
    rules = {n: r for n, r in base.rules.items() if r.field not in taken}
    return Mapping(stated.id_field or base.id_field, {**rules, **stated.rules})
