"""The training of a family in one set of weights: its largest member, with the others inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from autoscale.datasets.data import ImageData, Images
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.jobs.nested.members import NestedFamily
from autoscale.jobs.nested.result import (
    RESULT,
    MemberResult,
    members_table,
    read_members,
    result_of,
    told_of_members,
)
from autoscale.jobs.nested.settings import EACH_STEP, TrainFamilySettings
from autoscale.jobs.nested.slicing import called, sliced
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.training import Training
from autoscale.jobs.workers.kernels import accelerated
from autoscale.listener import Silent
from autoscale.network.build import build
from autoscale.runs.store import write_text
from autoscale.runs.weights import read_weights
from autoscale.scaling.nesting import NestedMember
from autoscale.training.evaluation.evaluate import scored
from autoscale.training.nested.inner import Inner
from autoscale.training.task import TrainingTask


@dataclass(frozen=True, kw_only=True)
class NestedTraining(Training):
    """The training of the largest member, in which the others learn along.

    Dropout and stochastic depth are the largest's alone. After each epoch it alone is evaluated;
    the others are at the end.
    """

    family_settings: TrainFamilySettings
    family: NestedFamily  # for the classes of the images

    @property
    def asked(self) -> TrainFamilySettings:
        """The settings of the command, with the images and weights that they come to."""
        return replace(self.family_settings, data=self.settings.data, weights=self.settings.weights)

    def answer(self, trained: Trained) -> dict[str, float | str | None]:
        """What trackers are told that it came to."""
        return {**super().answer(trained), **told_of_members(read_members(self.step) or ())}

    def facts(self) -> dict[str, Any]:
        """What decides the result and must be the same to go on, as plain data."""
        step = self.family_settings.each_step
        return {**super().facts(), **self.family.record(), "each_step": step}

    @property
    def _how(self) -> str:
        names = ", ".join(member.name for member in self.family.members)
        step = EACH_STEP[self.family_settings.each_step]
        return f"{super()._how}, with {names} in one set of weights, in each step {step}"

    def task_of(self, network: nn.Module) -> TrainingTask:
        inner = tuple(self._inner(design, network) for design in self.family.inside)
        return replace(super().task_of(network), inner=inner, turns=self._by_turns)

    @property
    def _by_turns(self) -> bool:
        return self.family_settings.each_step == "one"

    def _inner(self, design: Architecture, outer: nn.Module) -> Inner:
        with torch.random.fork_rng(devices=[]):
            module = build(
                design,
                norm_momentum=self.task.recipe.norm_momentum,
                **self._expected.style.options,
            )
        return Inner(
            accelerated(module, self.task.kernels),
            outer,
            resolution=design.resolution,
            images=self._images_of(design.resolution).train if self._by_turns else None,
            called=called,
        )

    def _conclude(self, trained: Trained) -> None:
        """Cut and evaluate the members, unless an earlier call did, and write the result."""
        if read_members(self.step) is not None:
            return
        members = self._members(trained)
        write_text(self.step.file("members.csv"), members_table(members).to_csv(index=False))
        self.step.write_result(RESULT, result_of(trained.weights, members))

    def _members(self, trained: Trained) -> tuple[MemberResult, ...]:
        """How good each member is, cut out of the weights of the best epoch."""
        state, task = read_weights(trained.weights).state, super().task_of(nn.Identity())
        largest, found = self.design.architecture, []
        for member in self.family.members:
            images = self._images_of(member.architecture.resolution)
            network = sliced(
                state,
                member.architecture,
                outer=largest,
                style=self._expected.style,
                task=replace(task, train=images.train, resolution=member.architecture.resolution),
                runtime=self._runtime,
            )
            found.append(self._result(member, network, images))
        return tuple(found)

    def _result(self, member: NestedMember, network: nn.Module, images: ImageData) -> MemberResult:
        task = replace(
            self.task.task(self.design.architecture, seed=self.task.source.seed),
            resolution=member.architecture.resolution,
        )

        def judged(part: Images | None) -> tuple[float | None, float | None]:
            if part is None:
                return None, None
            return scored(network, task, part, runtime=self._runtime)

        accuracy, score = judged(images.validation)
        tested, test_score = judged(images.test)
        assert accuracy is not None
        counted = cost(member.architecture)
        return MemberResult(
            name=member.name,
            phi=member.phi,
            pixels=member.architecture.resolution,
            macs=counted.macs,
            params=counted.params,
            validation_accuracy=accuracy,
            test_accuracy=tested,
            validation_map=score,
            test_map=test_score,
        )

    def _images_of(self, size: int) -> ImageData:
        """The images as a member sees them that is used alone: decoded at its own resolution.

        Resized from the largest's they would be blurred twice, which costs a member that learns
        from these and is used on others some points.
        """
        if size == self.design.architecture.resolution:
            return self.task.images
        return self.task.source.load(
            size=size, test=True, listener=Silent(), preparation=self._expected.preparation
        )
