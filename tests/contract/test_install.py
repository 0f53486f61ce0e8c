"""install.py: what the manager runs after cloning."""

import subprocess
import sys


def run(path):
    return subprocess.run([sys.executable, path], capture_output=True, text=True)


def test_it_is_content_twice_and_changes_nothing(root):
    first, second = run(root / "install.py"), run(root / "install.py")
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert "installed" in first.stdout


def test_it_names_what_is_missing_and_the_cure(root, tmp_path):
    (tmp_path / "install.py").write_text((root / "install.py").read_text(encoding="utf8"), encoding="utf8")
    (tmp_path / "requirements.txt").write_text("# a comment\nnumpy>=1.0\nno-such-package>=2.1\n", encoding="utf8")
    result = run(tmp_path / "install.py")
    assert result.returncode == 1
    assert "no-such-package>=2.1" in result.stdout
    assert "numpy" not in result.stdout
    assert f"pip install -r {tmp_path / 'requirements.txt'}" in result.stdout
