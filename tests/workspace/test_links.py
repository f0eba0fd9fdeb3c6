from pathlib import Path

from tools.links import problems


def test_each_link_leads_to_a_file_and_an_element(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "a.html").write_text(
        """
        <h1 id="top">A</h1> <a href="#top">here</a> <a href="../index.html#b%C3%A4r">there</a>
        <a href="https://example.org/nowhere">elsewhere</a> <img src="../_images/none.svg">
        <a href="gone.html">gone</a> <a href="#bottom">nowhere</a> <a href="../index.html#c">c</a>
        """
    )
    (tmp_path / "index.html").write_text('<p id="bär"><a href="topics/a.html?x=1#top">A</a>')
    assert list(problems(tmp_path)) == [
        "topics/a.html: ../_images/none.svg is not a file",
        "topics/a.html: gone.html is not a file",
        "topics/a.html: #bottom is not on that page",
        "topics/a.html: ../index.html#c is not on that page",
    ]
