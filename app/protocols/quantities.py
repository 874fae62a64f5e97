"""Numbers with their nouns in texts."""


def quantity(count: float, noun: str, plural: str = "") -> str:
    """Return the rounded number with thousands separators, and the noun in its form for it.

    plural  for nouns whose plural does not end in "s"
    """
    number = f"{count:,.0f}"
    return f"{number} {noun if number == '1' else plural or noun + 's'}"
