"""How bash is answered when it asks what may follow."""

from __future__ import annotations

from typing import Any

from click.shell_completion import BashComplete, CompletionItem


class Bash(BashComplete):
    """Bash takes `shop=7` apart at the `=`: it asks for the last part only, and puts back the last part only."""

    _kept = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as they were typed; an option and its value stay apart."""
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in filter(None, (*args, incomplete)):
            if (word == "=" and words) or (words and words[-1].endswith("=")):
                words[-1] += word
            else:
                words.append(word)
        words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else (word,))]
        last = words.pop() if incomplete else ""
        self._kept = last[: last.rfind("=") + 1]
        return words, last

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Without what stands there already."""
        item.value = item.value.removeprefix(self._kept)
        return super().format_completion(item)
