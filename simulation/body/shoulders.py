"""Clavicles, scapulae, arms and hands in the patient's posture."""

import math

import torch
from torch import Tensor

from simulation.anatomy import T1_INDEX
from simulation.body.batch import PatientBatch
from simulation.body.constants import float_tensor
from simulation.body.surfaces import Bones, Shell, ball, bar, smooth, tube, unit


def build_shoulders(batch: PatientBatch) -> Bones:
    """Clavicles, scapulae, arms and hands of both sides."""
    bones = Bones()
    for i, (side, word) in enumerate(((1.0, "left"), (-1.0, "right"))):
        joints = batch.arms[:, i]
        for build in (_clavicle, _scapula, _arm):
            bones = bones + build(batch, joints, side, word)
    return bones


def _clavicle(batch: PatientBatch, joints: Tensor, side: float, word: str) -> Bones:
    notch, shoulder = batch.sternum[:, 0], joints[:, 0]
    lift = 14.0 * batch.raised[:, None] * float_tensor(batch.device, 0.0, 0.0, 1.0)
    bend = torch.stack(
        [
            notch + batch.scaled(side * 14, 2, 4),
            notch + batch.scaled(side * 50, -8, 14) + lift,
            0.45 * notch + 0.55 * shoulder + batch.scaled(side * 12, 8, 26) + lift,
            shoulder + batch.scaled(-side * 8, 8, 22),
        ],
        dim=1,
    )
    taper = torch.linspace(0, 1, 18, device=batch.device)
    radius = 4.6 * (1 + 0.45 * (2 * taper - 1) ** 4) * (1 - (2 * taper - 1) ** 16) * batch.size[:, None]
    up = float_tensor(batch.device, 0.0, 0.0, 1.0)
    grid = tube(smooth(bend, 18), radius[..., None].expand(-1, -1, 2), up, 14)
    return Bones((Shell("clavicle", grid[:, None], 1.1 * batch.gain("shoulder"), 1.5, (f"clavicle {word}",)),))


def _scapula(batch: PatientBatch, joints: Tensor, side: float, word: str) -> Bones:
    """A thin triangle with thick borders, spine, acromion, coracoid and glenoid. Raised arms turn it outwards."""
    shoulder = joints[:, 0]
    t4 = batch.body_centre[:, T1_INDEX + 3]
    out = 14.0 * batch.raised + 6.0 * batch.style[:, 10].clamp(-1.5, 1.5)
    swing = out[:, None] * float_tensor(batch.device, side, 0.0, 0.0)
    superior = t4 + batch.scaled(side * 72, 46, 42) + swing
    inferior = t4 + batch.scaled(side * 88, 52, -96) + 1.8 * swing
    glenoid = shoulder + batch.scaled(-side * 24, 4, -6)
    grid = _scapula_body(superior, inferior, glenoid)
    up = float_tensor(batch.device, 0.0, 0.0, 1.0)
    root = superior * 0.72 + inferior * 0.28 + batch.scaled(0, 10, 0)
    acromion = shoulder + batch.scaled(side * 12, 8, 26)
    ridge, _ = bar(root, acromion, up, batch.scaled(3.0, 5.0), batch.scaled(6.0, 7.0), 8)
    ends = glenoid + batch.scaled(0, -8, 18), shoulder + batch.scaled(-side * 6, -34, 12)
    coracoid, _ = bar(*ends, up, *(batch.scaled(5.5, 5.5),) * 2)
    ends = glenoid + batch.scaled(0, 0, 20), glenoid + batch.scaled(0, 0, -20)
    socket, _ = bar(*ends, up.roll(1), *(batch.scaled(6.0, 10.0),) * 2)
    names = (f"scapula {word}",)
    return Bones(
        (
            Shell("shoulder blade", grid[:, None], 0.75 * batch.gain("shoulder"), 1.8, names),
            Shell("blade spine", ridge[:, None], 0.8 * batch.gain("shoulder"), bones=names),
            Shell("coracoid", coracoid[:, None], 0.7 * batch.gain("shoulder"), bones=names),
            Shell("glenoid", socket[:, None], 0.8 * batch.gain("shoulder"), bones=names),
        )
    )


def _scapula_body(superior: Tensor, inferior: Tensor, glenoid: Tensor) -> Tensor:
    """(N, M, K, 3) surface of a concave triangle between three (N, 3) corners."""
    rows = torch.linspace(0.0, 1.0, 10, device=superior.device)[:, None]
    inner = superior[:, None] * (1 - rows) + inferior[:, None] * rows
    outer = glenoid[:, None] * (1 - rows) + inferior[:, None] * rows
    middle, half = (inner + outer) / 2, (outer - inner) / 2
    normal = unit(torch.linalg.cross(glenoid - inferior, superior - inferior))[:, None]
    angle = torch.linspace(0, 2 * math.pi, 25, device=superior.device)
    across, thick = angle.cos(), angle.sin()
    profile = (1.6 + 3.6 * across.abs() ** 8) * thick.sign() * thick.abs().sqrt()
    bow = 7.0 * (1 - across**2)
    grid = middle[:, :, None] + half[:, :, None] * across[:, None] + normal[:, :, None] * (profile + bow)[:, None]
    return torch.cat([grid[:, :, :-1], grid[:, :, :1]], dim=2)


def _arm(batch: PatientBatch, joints: Tensor, side: float, word: str) -> Bones:
    shoulder, elbow, hand = joints.unbind(1)
    ahead = float_tensor(batch.device, 0.0, -1.0, 0.3)
    up = float_tensor(batch.device, 0.0, 0.3, 1.0)
    head, _ = ball(shoulder, torch.eye(3, device=batch.device) * (22.0 * batch.size)[:, None, None])
    humerus, _ = bar(shoulder, elbow, ahead + 0.1, batch.scaled(13.0, 13.0), batch.scaled(11.0, 11.0), 14, 0.06)
    shells = [
        Shell("humeral head", head[:, None], 0.8 * batch.gain("shoulder"), bones=(f"humerus {word}",)),
        Shell("humerus", humerus[:, None], 2.0 * batch.gain("shoulder"), 1.6, (f"humerus {word}",)),
    ]
    for shift, name in ((0.0, "radius"), (16.0, "ulna")):
        start, end = elbow + batch.scaled(0, -shift, 0), hand + batch.scaled(side * shift, 6, 0)
        grid, _ = bar(start, end, up + 0.2 * ahead, batch.scaled(7.5, 7.5), batch.scaled(6.0, 6.0), 12, 0.06)
        shells.append(Shell("forearm", grid[:, None], 1.5 * batch.gain("shoulder"), 1.8, (f"{name} {word}",)))
    return Bones((*shells, _hand(batch, elbow, hand, side, word)))


def _hand(batch: PatientBatch, elbow: Tensor, hand: Tensor, side: float, word: str) -> Shell:
    """The five rays of one hand."""
    along = unit(hand - elbow)
    across = unit(torch.linalg.cross(along, float_tensor(batch.device, 0.2, 1.0, 0.1).expand_as(along)))
    at = torch.linspace(-1.0, 1.0, 5, device=batch.device)[:, None]
    start = hand[:, None] + (10 * along)[:, None] + 14 * at * across[:, None] * batch.size[:, None, None]
    end = start + (88 - 24 * at.abs()) * batch.size[:, None, None] * along[:, None] + 12 * at * across[:, None]
    radii = batch.scaled(4.2, 4.2)[:, None].expand(-1, 5, -1)
    grid, _ = bar(start, end, across[:, None] + 0.5 * along.roll(1, -1)[:, None], radii, radii * 0.8, 8, 0.08, 10)
    return Shell("hand", grid, torch.full((len(batch), 5), 0.8, device=batch.device), 2.2, (f"hand {word}",) * 5)
