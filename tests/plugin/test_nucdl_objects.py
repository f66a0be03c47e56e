"""The objects of our modules mean to other modules what those of IdentifyPrimaryObjects mean."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.labels import relabel

SHAPE = (120, 160)


@pytest.fixture
def disks():
    """Grey disks on black: at the border, small, good, large, and a pair that touches."""
    rows, cols = np.indices(SHAPE)
    image = np.full(SHAPE, 0.05, np.float32)
    spots = [
        (3, 40, 8),
        (30, 30, 3),
        (35, 70, 9),
        (80, 40, 24),
        (85, 110, 9),
        (85, 126, 9),
        (118, 155, 7),
        (60, 159, 3),
    ]
    for row, col, radius in spots:
        image[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 0.7
    return image


@pytest.fixture
def classic(cellprofiler):
    made = cellprofiler.modules["IdentifyPrimaryObjects"]()
    made.x_name.value = "DNA"
    made.y_name.value = "Nuclei"
    made.module_num = 1
    return made


def objects_of(module, workspace):
    module.run(workspace)
    return workspace.object_set.get_objects("Nuclei")


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize("size", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_label_sets_are_the_same_for_the_same_nuclei(
    module, classic, make_workspace, engine_finds, disks, border, size, masked
):
    mask = np.ones(SHAPE, bool)
    if masked:
        # IdentifyPrimaryObjects looks at the border of the mask only if no object touches that of the image.
        mask[:14] = mask[-16:] = mask[:, -18:] = mask[:, :2] = False
    arguments = {"mask": mask} if masked else {}
    for each in (module, classic):
        each.exclude_size.value = size
        each.size_range.value = (10, 40)
    classic.exclude_border_objects.value = module.exclude_border.value = border
    expected = objects_of(classic, make_workspace(classic, disks, **arguments))
    engine_finds(relabel(expected.unedited_segmented))
    found = objects_of(module, make_workspace(module, disks, **arguments))
    assert found.unedited_segmented.max() > 3
    np.testing.assert_array_equal(found.unedited_segmented > 0, expected.unedited_segmented > 0)
    np.testing.assert_array_equal(found.small_removed_segmented > 0, expected.small_removed_segmented > 0)
    np.testing.assert_array_equal(found.segmented, expected.segmented)


@pytest.fixture
def cells(cellprofiler):
    """IdentifySecondaryObjects, made to grow each nucleus by up to 30 pixels."""
    made = cellprofiler.modules["IdentifySecondaryObjects"]()
    made.x_name.value = "Nuclei"
    made.y_name.value = "Cells"
    made.image_name.value = "DNA"
    made.method.value = "Distance - N"
    made.distance_to_dilate.value = 30
    made.wants_discard_edge.value = False
    made.module_num = 2
    return made


def test_cells_do_not_grow_into_nuclei_that_were_discarded_at_the_border(module, cells, make_workspace, engine_finds):
    labels = np.zeros(SHAPE, np.int32)
    labels[0:20, 40:60] = 1
    labels[40:60, 40:60] = 2
    engine_finds(labels)
    workspace = make_workspace(module, np.full(SHAPE, 0.5, np.float32))
    nuclei = objects_of(module, workspace)
    cells.run(workspace)
    grown = workspace.object_set.get_objects("Cells").segmented
    assert nuclei.count == grown.max() == 1
    assert not grown[:30].any()
    assert grown[31:60, 40:60].all()


def test_every_cell_has_its_own_nucleus_as_parent(module, cells, make_workspace, engine_finds, nuclei_grid):
    labels = nuclei_grid(9, side=9)
    labels[:2, :30] = 1
    engine_finds(labels)
    workspace = make_workspace(module, np.full(labels.shape, 0.5, np.float32))
    objects_of(module, workspace)
    cells.run(workspace)
    parents = workspace.measurements.get_current_measurement("Cells", "Parent_Nuclei")
    np.testing.assert_array_equal(parents, np.arange(1, 9))
    nuclei, grown = (workspace.object_set.get_objects(name).segmented for name in ("Nuclei", "Cells"))
    np.testing.assert_array_equal(grown[nuclei > 0], nuclei[nuclei > 0])


def test_cells_grow_over_nuclei_that_were_discarded_for_their_size(module, cells, make_workspace, engine_finds):
    labels = np.zeros(SHAPE, np.int32)
    labels[40:60, 40:60] = 1
    labels[50:53, 66:69] = 2
    engine_finds(labels)
    module.exclude_size.value = True
    module.size_range.value = (10, 100)
    workspace = make_workspace(module, np.full(SHAPE, 0.5, np.float32))
    objects_of(module, workspace)
    cells.run(workspace)
    assert (workspace.object_set.get_objects("Cells").segmented[50:53, 66:69] == 1).all()


@pytest.mark.parametrize("count", [0, 1, 200])
def test_centers_are_those_that_cellprofiler_computes(cellprofiler, nuclei_grid, count):
    from _nucdl_objects import Nuclei
    from cellprofiler_core.object import Objects

    ours, theirs = Nuclei(), Objects()
    ours.segmented = theirs.segmented = nuclei_grid(count)
    expected = np.asarray(theirs.center_of_mass()).reshape(-1, 2)
    np.testing.assert_allclose(ours.center_of_mass(), expected)
    assert len(expected) == count


def test_labels_come_back_as_32_bit_numbers_from_whatever_cellprofiler_keeps(cellprofiler, nuclei_grid):
    from _nucdl_objects import labels_without_overlaps
    from cellprofiler_core.object import Objects

    objects = Objects()
    objects.segmented = nuclei_grid(5)
    assert objects.segmented.dtype != np.int32
    labels = labels_without_overlaps(objects, "the objects")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, nuclei_grid(5))
