"""Decides how an accepted study relates to the studies in the store: new, present, a revision, or the rest of one.

Studies may grow. The lateral image or the reconstruction may arrive after the frontal image, and a reconstruction or
the tags of an image may be corrected. The larger or corrected study is then a revision. The study that it replaces
stays in the store, because the frozen test set may contain it.

    present      the store has the study, or a larger study with these images and no other reconstruction
    revision     the study has all images of the studies that it replaces, and a reconstruction if they have one
    completion   the study has another view of an examination of which the store has one view
    new          anything else

Contract: a study never replaces a study of another patient or with other instance UIDs.

    UID_CONFLICT       the store has an image with one of the study's instance UIDs, but with other pixels
    DUPLICATE_IMAGE    the store has one of the study's images under another patient or instance UID, or the study has
                       only some of the images of a study in the store and another reconstruction
"""

from dataclasses import dataclass
from typing import Literal

from spine.errors import PairingRejected
from spine.intake.intake_ledger import Entry, Ledger


@dataclass(frozen=True)
class Relation:
    """How a study relates to the store, and the entries of the studies that it equals, replaces or completes."""

    kind: Literal["new", "present", "revision", "completion"]
    studies: tuple[Entry, ...] = ()


def relation_to_store(entry: Entry, ledger: Ledger) -> Relation:
    """Compare a study with the store, or raise ``PairingRejected``: ``UID_CONFLICT``, ``DUPLICATE_IMAGE``."""
    _require_equal_pixels(entry, ledger)
    owners = {study for sha256 in entry.images.values() for study in ledger.studies_of_image.get(sha256, ())}
    known = ledger.by_study.get(str(entry.study_id))
    if known is not None:
        owners.add(str(entry.study_id))
    for owner in sorted(owners):
        _require_same_origin(entry, ledger.by_study[owner])
    if known is not None:
        return Relation("present", (known,))
    latest = ledger.latest(owners)
    if latest:
        return _relation_to_owners(entry, latest)
    parts = ledger.latest(ledger.studies_of_examination.get(entry.examination, ()))
    others = [p for p in parts if p.patient == entry.patient and not entry.images.keys() & p.images.keys()]
    return Relation("completion", tuple(others)) if len(others) == 1 else Relation("new")


def _relation_to_owners(entry: Entry, latest: list[Entry]) -> Relation:
    images = set(entry.images.values())
    for owner in latest:
        placed = owner.images.items() >= entry.images.items() and owner.places.items() >= entry.places.items()
        if placed and entry.truth in ("", owner.truth):
            return Relation("present", (owner,))
    if all(set(o.images.values()) <= images and (entry.truth or not o.truth) for o in latest):
        return Relation("revision", tuple(latest))
    found = f"some images of study {latest[0].study_id} without its other images or without its reconstruction"
    remedy = "send the study with all its images and its reconstruction"
    remedy += "; to replace an image, delete the folder of the first study in data/studies"
    raise PairingRejected("DUPLICATE_IMAGE", found, "each image once, or the whole study", remedy)


def _require_equal_pixels(entry: Entry, ledger: Ledger) -> None:
    for view, instance in entry.instances.items():
        if ledger.image_of_instance.get(instance) not in (None, entry.images[view]):
            found = f"a {view} image that has the SOP Instance UID of an image in the store, but other pixels"
            owner = min(ledger.studies_of_image[ledger.image_of_instance[instance]])
            remedy = (
                f"find out which image is right; to replace the stored one, delete the folder {owner} in data/studies"
            )
            raise PairingRejected("UID_CONFLICT", found, "one image for each SOP Instance UID", remedy)


def _require_same_origin(entry: Entry, owner: Entry) -> None:
    """Equal pixels must have one patient and one instance UID."""
    instances = {owner.images[view]: instance for view, instance in owner.instances.items()}
    ours = {entry.images[view]: instance for view, instance in entry.instances.items()}
    equal = all(ours[sha256] == instances[sha256] for sha256 in ours.keys() & instances.keys())
    if owner.patient != entry.patient or not equal:
        other = "SOP Instance UID" if owner.patient == entry.patient else "patient"
        found = f"pixels that are already in study {owner.study_id}, under another {other}"
        remedy = (
            f"send each image once; if the new {other} is right, delete the folder {owner.study_id} in data/studies"
        )
        raise PairingRejected("DUPLICATE_IMAGE", found, "each image once, under one patient", remedy)
