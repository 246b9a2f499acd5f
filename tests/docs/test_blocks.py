"""Blocks and commands are found in Markdown as a reader would copy them."""

from .blocks import Command, blocks_of, commands

PAGE = """\
# A page

<!-- not run: needs a cluster -->
```python
cluster()
```

- A list:

  ```console
  $ A=1 sepvae fit data --out run \\
      --set 'a b'    # a comment
  output
  $ make demo > log
  ```

```bash
srun sepvae fit data --out run &
```
"""


def test_blocks_have_language_heading_and_mark() -> None:
    first, second, third = blocks_of("page.md", PAGE)
    assert (first.language, first.text, first.mark) == ("python", "cluster()\n", "not run")
    assert (second.line, second.heading, second.mark) == (10, "A page", "")
    assert str(third) == "page.md:17"


def test_commands_are_split_as_a_shell_would() -> None:
    _, second, third = blocks_of("page.md", PAGE)
    fit = ["sepvae", "fit", "data", "--out", "run"]
    of_console = [Command([*fit, "--set", "a b"], "output"), Command(["make", "demo", ">", "log"])]
    assert list(commands(second)) == of_console
    assert list(commands(third)) == [Command(fit)]
