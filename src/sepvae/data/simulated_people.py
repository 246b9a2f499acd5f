"""People of a simulated cohort: group, age, sex, site and illness, and the scans of each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

SEXES = ("female", "male")
AGES = (20, 80)  # years
N_SITES = 3
PER_YEAR = (0.02, 0.18)  # growth of the severity of a patient, lowest and highest
UNEVEN = (0.85, 1.15)  # intervals between scans, times those asked for


def site_names(share_of_targets: float | Sequence[float]) -> list[str]:
    """Return the names of all sites: three, or as many as shares are given."""
    n = len(share_of_targets) if isinstance(share_of_targets, Sequence) else N_SITES
    return [f"site{i + 1}" for i in range(n)]


def draw_people(
    n: int, share_of_targets: float | Sequence[float], age_gap: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return participants in random order; sexes are alike in all groups, and sites and ages as asked for."""
    shares = np.asarray(share_of_targets, dtype=float)
    sites = site_names(share_of_targets)
    n_patients = min(max(round(float(shares.mean()) * n), 2), n - 2)
    sizes = {None: n - n_patients, "A": (n_patients + 1) // 2, "B": n_patients // 2}
    parts = []
    for subtype, size in sizes.items():
        older = age_gap if subtype else -age_gap
        low, high = AGES[0] + max(older, 0), AGES[1] + min(older, 0)
        ages = low + (high - low) * (rng.permutation(size) + 0.5) / size
        part = pd.DataFrame({"group": "patient" if subtype else "control", "age": ages.round(1)})
        part["sex"] = _dealt(SEXES, size, rng)
        of_site = shares if subtype else 1 - shares
        part["site"] = _shared_out(sites, of_site, size, rng) if shares.ndim else _dealt(sites, size, rng)
        part["severity"] = rng.integers(201, 1001, size) / 1000 if subtype else np.nan
        parts.append(part.assign(subtype=pd.array([subtype] * size, dtype="string")))
    table = pd.concat(parts, ignore_index=True).iloc[rng.permutation(n)].reset_index(drop=True)
    width = max(3, len(str(n)))
    table.insert(0, "participant_id", [f"sub-{i + 1:0{width}d}" for i in range(n)])
    return table


def draw_scans(
    people: pd.DataFrame, visits: Sequence[float], rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the people with the growth of their severity, and a row a scan; one visit changes nothing."""
    if len(visits) == 1:
        return people, people
    n, k = len(people), len(visits)
    rate = pd.Series(rng.uniform(*PER_YEAR, n).round(3)).where(people["group"] == "patient")
    years = np.cumsum(np.diff(visits, prepend=0) * rng.uniform(*UNEVEN, (n, k)), axis=1).ravel().round(3)
    scans = people.loc[people.index.repeat(k)].reset_index(drop=True)
    sessions = [f"ses-{i + 1}" for i in range(k)] * n
    scans.insert(0, "scan_id", scans["participant_id"] + "_" + pd.Series(sessions))
    scans.insert(2, "session_id", sessions)
    scans["age"] = (scans["age"] + years).round(2)
    scans["severity"] = (scans["severity"] + years * np.repeat(rate.to_numpy(), k)).round(4)
    return people.assign(severity_per_year=rate), scans.assign(years=years)


def _dealt(levels: Sequence[str], n: int, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    """Return n levels in random order, each as often as the others as far as n allows."""
    rounds = [rng.permutation(np.array(levels)) for _ in range(-(-n // len(levels)))]
    return np.concatenate(rounds)[:n]


def _shared_out(
    levels: Sequence[str], weights: npt.NDArray[np.float64], n: int, rng: np.random.Generator
) -> npt.NDArray[np.str_]:
    """Return n levels in random order, as often as their weights say, by largest remainders."""
    exact = n * weights / weights.sum()
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return rng.permutation(np.repeat(np.array(levels), counts))
