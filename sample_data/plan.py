"""How much of everything a city of a given size has."""

from dataclasses import dataclass

REFERENCE_BUILDINGS = 1_000_000
DEFAULT_BUILDINGS = 2_000
DEFAULT_SEED = 4403
RECENT_RESULTS_LIMIT = 50_000
"""Up to so many sensors, each carries its last 24 hourly results."""


@dataclass(frozen=True, slots=True)
class CityPlan:
    """The counts a city is generated to, exactly. `seed` decides everything else."""

    buildings: int
    sensors: int
    cameras: int
    districts: int
    streets: int
    communities: int
    organisations: int
    services: int
    seed: int


def plan_city(
    buildings: int = DEFAULT_BUILDINGS,
    sensors: int | None = None,
    cameras: int | None = None,
    seed: int = DEFAULT_SEED,
) -> CityPlan:
    """A plan for `buildings` (10 to 1,000,000). Unstated: a sensor channel a building, a camera per five.

    2,000 buildings give 3 districts, 9 streets, 36 communities; 1,000,000 give 10, 74 and 650, with 53
    organisations and 4,512 services.
    """
    if not 10 <= buildings <= REFERENCE_BUILDINGS:
        raise ValueError(f"buildings: {buildings}; from 10 to {REFERENCE_BUILDINGS:,}")
    size = buildings / DEFAULT_BUILDINGS
    districts = min(10, max(1, round(3 * size**0.1937)))
    streets = min(74, max(districts, round(9 * size**0.339)))
    share = min(1.0, buildings / REFERENCE_BUILDINGS)
    return CityPlan(
        buildings=buildings,
        sensors=buildings if sensors is None else sensors,
        cameras=buildings // 5 if cameras is None else cameras,
        districts=districts,
        streets=streets,
        communities=min(650, max(streets, round(36 * size**0.4657))),
        organisations=max(10, round(53 * share)),
        services=max(30, round(4512 * share)),
        seed=seed,
    )
