"""Measurements that only the engine knows: declared and written by the same list."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Dict, List, Mapping, Tuple

from cellprofiler_core.module import Module

if TYPE_CHECKING:
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.workspace import Workspace

C_NUCDL = "NucDL"
F_AGREEMENT = "Agreement"

Features = Dict[str, Dict[str, str]]
"""For the image or each kind of objects, the features that are measured with CellProfiler's type of each column."""


class HasOwnMeasurements(Module):
    """A module that makes measurements of a category of its own, beside those of CellProfiler's class.

    It stands before that class among a module's bases. Columns are called ``Category_Feature``, and
    ``Category_Feature_Ending`` where several modules or sets of objects must be told apart.
    """

    own_category: ClassVar[str] = C_NUCDL
    """What the names of all these measurements begin with."""

    @abstractmethod
    def own_features(self) -> Features:
        """List what is measured with the present settings."""

    def endings(self, pipeline: Pipeline, object_name: str) -> List[str]:
        """Return what the names of the measurements of the image or of an object end with: one ending, or none."""
        return []

    def own_column(self, pipeline: Pipeline, object_name: str, feature: str) -> str:
        """Return the full name of a measurement."""
        return "_".join([self.own_category, feature, *self.endings(pipeline, object_name)])

    def add_own_measurements(self, workspace: Workspace, object_name: str, values: Mapping[str, Any]) -> None:
        """Write the measurements of the image or of one kind of objects.

        Parameters
        ----------
        workspace : Workspace
        object_name : str
            "Image" or the name of the objects.
        values : mapping of str to number or array (N,)
            For each feature that `own_features` lists, the image's value, or one value per object.
        """
        for feature in self.own_features()[object_name]:
            name = self.own_column(workspace.pipeline, object_name, feature)
            workspace.measurements.add_measurement(object_name, name, values[feature])

    def get_measurement_columns(self, pipeline: Pipeline) -> List[Tuple[str, str, str]]:
        """List all columns of the tables: whose measurement it is, its name, its type."""
        own = [
            (object_name, self.own_column(pipeline, object_name, feature), kind)
            for object_name, features in self.own_features().items()
            for feature, kind in features.items()
        ]
        return super().get_measurement_columns(pipeline) + own

    def get_categories(self, pipeline: Pipeline, object_name: str) -> List[str]:
        """List the categories of the image's or an object's measurements."""
        own = [self.own_category] if self.own_features().get(object_name) else []
        return super().get_categories(pipeline, object_name) + own

    def get_measurements(self, pipeline: Pipeline, object_name: str, category: str) -> List[str]:
        """List the image's or an object's features in a category."""
        if category == self.own_category:
            return list(self.own_features().get(object_name, {}))
        return super().get_measurements(pipeline, object_name, category)

    def get_measurement_objects(
        self, pipeline: Pipeline, object_name: str, category: str, measurement: str
    ) -> List[str]:
        """List what the name of a measurement can end with."""
        if category != self.own_category:
            return super().get_measurement_objects(pipeline, object_name, category, measurement)
        known = measurement in self.own_features().get(object_name, {})
        return self.endings(pipeline, object_name) if known else []
