import subprocess
import sys

from commands import nucdl

from nucdl_core.cli.main import main


def test_the_help_is_shown_without_importing_torch():
    code = (
        "import sys, nucdl_core.cli.main as c; c.main(['-h'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "segment" in result.stdout


def test_simulate_segment_and_evaluate_fit_together(tmp_path):
    assert nucdl("simulate", "--output", tmp_path / "plate", "--fields", 2, "--size", "200x260").exit_code == 0
    result = nucdl("segment", tmp_path / "plate" / "images", "--output", tmp_path / "found")
    assert result.exit_code == 0, result.output
    result = nucdl("evaluate", "--truth", tmp_path / "plate" / "labels", "--prediction", tmp_path / "found")
    assert result.exit_code == 0, result.output
    assert "mean F1 (IoU 0.50 to 0.95)" in result.output
    assert (tmp_path / "found" / "summary.json").exists()


def test_every_command_is_there():
    commands = [
        "adapt",
        "bundle-offline",
        "convert",
        "demo",
        "doctor",
        "evaluate",
        "models",
        "plugins",
        "refine",
        "report",
        "screen",
        "segment",
        "simulate",
        "study",
        "synthesize",
        "train",
        "try",
        "tune",
        "worker",
    ]
    assert sorted(main.commands) == commands
    assert sorted(main.commands["models"].commands) == ["add", "check", "list", "remove"]
    assert sorted(main.commands["screen"].commands) == ["chunk", "plan", "report", "resume", "run", "status"]
