"""The ladder of kernels."""

import pytest

from skdiff.proof import version_history


@pytest.mark.long
def test_two_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(version_history, "CASES", 3000)
    out = tmp_path / "docs" / "history.md"
    assert version_history.main([str(out), "6.1", "6.12"]) == 0
    text = out.read_text()
    assert "## 6.1." in text
    assert "- reselect in B only (Linux 6.6, 9c02bec95954, " in text
    assert "- shared_sk_lookup in B only (Linux 6.6, 6c886db2e78c, " in text
    assert "no outcome can show it\n" in text
    assert "`syncookie`:\n\n```\npacket: " in text
    assert "A: __inet_lookup_skb(): " in text


@pytest.mark.parametrize("kernels", [[], ["6.12"], ["6.12", "/no/such/tree"]])
def test_what_cannot_be_compared_is_one_line(kernels, tmp_path, capsys):
    assert version_history.main([str(tmp_path / "x.md"), *kernels]) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("skdiff: ")]
    assert not (tmp_path / "x.md").exists()
