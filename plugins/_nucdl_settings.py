"""What the settings of all modules have in common: model and device, checks, saved pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, List, Mapping, Optional, Tuple

import _nucdl_engine as engine
from _nucdl_errors import NucDLError
from _nucdl_models import MODEL_FOLDER, ModelChoice, card_html, show_card
from cellprofiler_core.module import Module
from cellprofiler_core.setting import ValidationError
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.do_something import DoSomething
from cellprofiler_core.setting.range import IntegerRange
from cellprofiler_core.setting.text import Directory, Float

if TYPE_CHECKING:
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.setting import Setting
    from cellprofiler_core.workspace import Workspace

# What is offered in the settings, with the engine's word for each.
DEVICES = {"Automatic": "auto", "CPU": "cpu", "GPU": "cuda"}
POLARITIES = {"Automatic": "auto", "Brighter": "bright", "Darker": "dark"}
VIEWS = {"One": "none", "Four (mirrored)": "flips", "Eight (mirrored and turned)": "all"}

ConfigValues = List[Tuple["Setting", Dict[str, Any]]]
"""Settings, each with the values of the engine's configuration that it answers for."""


def engine_word(choice: Choice, words: Mapping[str, str]) -> str:
    """Translate what is chosen into the engine's word.

    A choice that is not offered, in a pipeline that was edited by hand, stays as it is: the engine refuses it.
    """
    return words.get(choice.value, choice.value)


class UsesEngine(Module):
    """A module that needs the engine; stands first among a module's bases."""

    added_settings: ClassVar[Dict[int, List[str]]] = {}
    """For each earlier revision of a module's settings, the values of those that it lacked at their end."""

    load_problem: Optional[str] = None
    """Why the settings of a saved pipeline could not be read."""

    def setting_of_problems(self) -> Setting:
        """Return the setting that shows what is wrong with no setting in particular."""
        return self.settings()[0]

    def refuse_what_did_not_load(self) -> None:
        """Raise a `ValidationError` if the engine is missing or a saved pipeline could not be read."""
        problem = engine.engine_problem() or self.load_problem
        if problem is not None:
            raise ValidationError(problem, self.setting_of_problems())

    def validate_module(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` at the setting that is wrong; CellProfiler asks at every key press."""
        self.refuse_what_did_not_load()

    def prepare_run(self, workspace: Workspace) -> bool:
        """Refuse a run that cannot succeed before its first image: headless, nothing else checks the settings.

        Raises
        ------
        ValidationError
            If a setting has an impossible value.
        """
        self.refuse_what_did_not_load()
        for setting in self.visible_settings():
            if isinstance(setting, (Choice, Float, IntegerRange)):
                setting.test_valid(workspace.pipeline)
        self.validate_module(workspace.pipeline)
        return True

    def upgrade_settings(
        self, setting_values: List[str], variable_revision_number: int, module_name: str
    ) -> Tuple[List[str], int]:
        """Bring the settings of a saved pipeline up to date.

        What cannot be read is kept in mind for `refuse_what_did_not_load`: an error raised here would silently cut
        the pipeline off at this module.

        Parameters
        ----------
        setting_values : list of str
            As they stand in the pipeline file.
        variable_revision_number : int
            The revision of the settings that they were saved with.
        module_name : str

        Returns
        -------
        setting_values : list of str
            With the settings that have been added since.
        variable_revision_number : int
            The revision that they have now.
        """
        added = self.added_settings.get(variable_revision_number, [])
        expected = len(self.settings()) - len(added)
        if variable_revision_number > self.variable_revision_number:
            self.load_problem = (
                f"this pipeline was saved by a newer NucDL (revision {variable_revision_number} of the settings, this "
                f"one knows {self.variable_revision_number}); update NucDL, or remove this module and add it again"
            )
        elif len(setting_values) != expected:
            self.load_problem = (
                f"the pipeline holds {len(setting_values)} settings of this module instead of {expected}, it seems to "
                "be damaged; load another copy, or remove this module and add it again"
            )
        else:
            self.load_problem = None
            return setting_values + added, self.variable_revision_number
        return setting_values, variable_revision_number

    def volumetric(self) -> bool:
        """Say that 3D stacks are not supported."""
        return False


class UsesModel(UsesEngine):
    """A module that runs a model.

    It says with `config_kind` what the engine is configured for, and with `config_values` which setting answers for
    which of its values.
    """

    config_kind: ClassVar[str] = "segment"
    """As the engine's `EngineService` calls it: "segment" or "refine"."""

    needs_maps: ClassVar[bool] = False
    """Whether the module can only use models that give probability maps."""

    def create_model_settings(self) -> None:
        """Make the settings that select the model."""
        self.model = ModelChoice(
            "Select the model",
            [engine.FALLBACK_MODEL, MODEL_FOLDER],
            doc=f"""\
Select the trained network. The models that come with NucDL are listed first; the first one is meant for all
fluorescence images of nuclei.

Models of your own or of a colleague follow, called as their folders are. They are looked for in the folders that the
environment variable *NUCDL_MODELS* names, then in those that the command *nucdl models add* was told; each of them is a
model, or a folder of models. If two have the same name, the first one counts, and a model that comes with NucDL before
all others. A new model appears when you select this module again. The command *nucdl models list* shows which models
there are, and why others cannot be used.

The pipeline remembers the name. On another computer, *NUCDL_MODELS* says where the model of that name is.

Select "*{MODEL_FOLDER}*" to use a model that lies anywhere else; the pipeline then remembers its folder.""",
        )
        self.model_folder = Directory(
            "Model folder",
            allow_metadata=False,
            doc=f"""\
*(Used only if the model is "{MODEL_FOLDER}")*

Select the folder of the model: the one that contains *bundle.json*. Models are made with the command *nucdl train* and
checked with *nucdl models check*. Where CreateBatchFiles prepares a run on other computers, it translates this folder
as it translates those of the images.""",
        )

        self.card_button = DoSomething(
            "What is this model made for?",
            "Show its card",
            show_card,
            self.model_name,
            doc="""\
Press this button to read the card of the model that is selected: what images it was made for, what it learnt from, how
good it was on images that it had not seen, and its licence. The card is also at the end of the help of this module.""",
        )

    def with_card_button(self, settings: List[Setting]) -> List[Setting]:
        """Put the button that shows the model's card below the model; it is no part of a pipeline file."""
        place = settings.index(self.shown_model_setting()) + 1
        return [*settings[:place], self.card_button, *settings[place:]]

    def get_help(self) -> str:
        """Return the help page, with the card of the chosen model at its end."""
        card = f"<div><h2>The chosen model:</h2>{card_html(self.model_name())}</div>"
        return super().get_help().replace("</body>", f"{card}</body>")

    def create_contour_offset_setting(self, moved: str) -> None:
        """Make the setting that moves outlines; `moved` says in its help which ones, such as "all outlines"."""
        self.contour_offset = Float(
            "Move outlines outwards by (pixels)",
            0.0,
            doc=f"""\
Laboratories draw the outline of a nucleus differently: at half the height of its edge, or where the last light ends.
Enter the number of pixels by which {moved} are moved outwards, or a negative number to move them inwards. The line
between two touching nuclei stays where it is.""",
        )

    def create_polarity_setting(self) -> None:
        """Make the setting that says whether nuclei are bright or dark."""
        self.polarity = Choice(
            "Are nuclei brighter or darker than the background?",
            list(POLARITIES),
            doc="""\
*Automatic* decides for each image by its intensities: a fluorescence image is mostly dark background with bright
nuclei, a stained section or a brightfield image mostly bright with dark nuclei. Images of dark nuclei are inverted
before the network sees them, and the figure says so. Select *Brighter* or *Darker* where you know it, for example
for a bright image that is full of bright nuclei. The image that later modules measure stays as it is.""",
        )

    def polarity_value(self) -> Tuple[Setting, Dict[str, Any]]:
        """Return which value of the engine's configuration that setting answers for."""
        return self.polarity, {"polarity": engine_word(self.polarity, POLARITIES)}

    def create_device_setting(self) -> None:
        """Make the setting that says where the network computes."""
        self.device = Choice(
            "Compute on",
            list(DEVICES),
            doc="""\
Select where the network computes. *Automatic* takes a graphics card (GPU) if PyTorch can use one, otherwise the
processor (CPU). *GPU* reports an error if there is none, instead of silently taking hours. The nuclei are the same
apart from rare single pixels. If several CellProfiler workers share one GPU, its memory must be large enough for all of
them.""",
        )

    def model_name(self) -> str:
        """Return the name of the model, or the path of the model folder."""
        if self.model.value == MODEL_FOLDER:
            return self.model_folder.get_absolute_path()
        return self.model.value

    def shown_model_setting(self) -> Setting:
        """Return the setting in which the model, or its folder, can be changed."""
        return self.model_folder if self.model.value == MODEL_FOLDER else self.model

    def setting_of_problems(self) -> Setting:
        """Return the setting of the model: without the engine there is none."""
        return self.model

    def config_values(self) -> ConfigValues:
        """List which setting answers for which values of the engine's configuration."""
        return [
            (self.model, {"model": self.model_name()}),
            (self.contour_offset, {"contour_offset": self.contour_offset.value}),
            (self.device, {"device": engine_word(self.device, DEVICES)}),
        ]

    def config(self) -> Dict[str, Any]:
        """Return the values of the engine's configuration; the engine refuses impossible ones."""
        return {key: value for _, part in self.config_values() for key, value in part.items()}

    def validate_module(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` at the setting that is wrong.

        CellProfiler asks at every key press: neither torch nor the weights of the model are loaded here.
        """
        super().validate_module(pipeline)
        parts = self.config_values()
        problems = engine.engine().settings_problems(self.config_kind, [values for _, values in parts])
        for (setting, _), problem in zip(parts, problems):
            if problem is not None:
                raise ValidationError(problem, setting)
        try:
            engine.engine().check_description(self.model_name(), self.needs_maps)
        except NucDLError as error:
            raise ValidationError(str(error), self.shown_model_setting()) from error

    def prepare_run(self, workspace: Workspace) -> bool:
        """Refuse a run that cannot succeed before its first image, also for its model and its device.

        Raises
        ------
        ValidationError
            If a setting has an impossible value.
        BundleError
            If the model is damaged or altered.
        DeviceError
            If the device is not there.
        """
        super().prepare_run(workspace)
        config = self.config()
        engine.engine().check_model_and_device(config["model"], config["device"])
        return True

    def prepare_to_create_batch(self, workspace: Workspace, fn_alter_path: Callable[..., str]) -> bool:
        """Change the path of the model folder to the one on the machines that will run the batch."""
        self.model_folder.alter_for_create_batch_files(fn_alter_path)
        return True
