"""Whether a screen still works with the procedure and the models that it was planned with."""

from __future__ import annotations

from nucdl_core.files.writing import file_sha256
from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.screen.core.plan import PlannedModel, ScreenError, ScreenFolder, ScreenPlan


def identify_model(name: str) -> PlannedModel:
    """Verify a model (a name or a folder) and return its identity.

    Raises
    ------
    BundleError
        If it is missing, damaged or altered.
    """
    return PlannedModel(name, read_bundle(find_bundle(name)).sha256)


def check_plan(folder: ScreenFolder, plan: ScreenPlan) -> None:
    """Refuse to work with another procedure or model than was planned.

    Raises
    ------
    ScreenError
        Naming what was changed.
    BundleError
        If a model is missing or damaged.
    """
    if file_sha256(folder.procedure) != plan.procedure.sha256:
        raise ScreenError(f"{folder.procedure} was altered after planning; plan into a new folder")
    for model in plan.models:
        now = identify_model(model.name).sha256
        if now != model.sha256:
            raise ScreenError(
                f"the model {model.name} was changed since the screen was planned ({model.sha256[:12]}, now"
                f" {now[:12]}); bring it back, or plan into a new folder"
            )
