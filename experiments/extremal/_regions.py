"""What is kept of a search for a sufficient region, of a digit or of a photograph."""

import jax

from fitb_jax import ablation, extremal

FIELDS = {
    "region": ablation.Field(("row", "column"), meaning="1 inside of the region"),
    "area": ablation.Field(meaning="share of the image"),
    "found": ablation.Field(meaning="whether the required share was reached in the search"),
    "minimal": ablation.Field(meaning="whether no single patch can go, as confirmed"),
    "search_share": ablation.Field(meaning="of the search's backgrounds, with the class kept"),
    "share": ablation.Field(meaning="of fresh backgrounds, with the class kept"),
    "low": ablation.Field(meaning="lower end of the interval of Clopper and Pearson"),
    "high": ablation.Field(meaning="upper end"),
    "connectivity_cost": ablation.Field(meaning="area that does nothing but connect, at least"),
    "calls": ablation.Field(units="images", meaning="classified"),
    "gradient_calls": ablation.Field(units="images", meaning="whose gradient was taken"),
}


def kept(found: extremal.SufficientRegion) -> dict[str, jax.Array]:
    """What `FIELDS` names, of a region with its certificate."""
    share, low, high = found.certificate
    ends = {"share": share, "low": low, "high": high}
    return {name: ends[name] if name in ends else getattr(found, name) for name in FIELDS}
