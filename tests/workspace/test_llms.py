"""The file `llms.txt`, made from a small documentation."""

import subprocess
import sys
from pathlib import Path

from served import ROOT

FRONT = """# Things

Things for sites. They are small.

```{toctree}
:caption: First steps

one
deep/two
```

```{toctree}
:caption: More

three
```
"""


def test_each_page_has_a_line_with_its_first_sentences(tmp_path: Path) -> None:
    source, target = tmp_path / "docs", tmp_path / "html"
    sentence = "A sentence of six short words."
    pages = {
        "conf.py": f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nproject = 'Things'\n"
        "extensions = ['myst_parser', 'tools.llms']\nhtml_theme = 'basic'\n",
        "index.md": FRONT,
        "one.md": "# One\n\n| a |\n|---|\n| table |\n\n"
        "The first\nwords. Then {doc}`deep/two` and {doc}`this <three>`.\n\nEnd.\n",
        "deep/two.md": f"# Two\n\n{' '.join([sentence] * 12)}\n",
        "three.md": "# Three\n\n## Only a heading\n",
    }
    for name, text in pages.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    subprocess.run([sys.executable, "-m", "sphinx", "-Q", source, target], check=True)
    assert (target / "llms.txt").read_text() == (
        "# Things\n\n> Things for sites. They are small.\n\n"
        "## First steps\n\n"
        "- [One](one.html): The first words. Then Two and this.\n"
        f"- [Two](deep/two.html): {' '.join([sentence] * 6)}\n\n"
        "## More\n\n"
        "- [Three](three.html)\n"
    )
