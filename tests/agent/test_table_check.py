"""Rows are matched to rows of their own as well as any person could, whatever the order."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.check_specs import TableSpec
from agent.file_kinds import Miss
from agent.table_check import table_found

_ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=5)


@given(_ROWS, st.data())
def test_finds_a_row_for_each_entry_if_there_is_a_way(
    rows: list[tuple[str, int]], data: st.DataObject
) -> None:
    entry = st.fixed_dictionaries(
        {}, optional={"x": st.sampled_from("ab"), "n": st.integers(0, 2)}
    ).filter(bool)
    wanted = data.draw(st.lists(entry, min_size=1, max_size=5))
    cells = [{"x": x, "n": n} for x, n in rows]
    possible = any(
        all(entry.items() <= cells[i].items() for entry, i in zip(wanted, chosen, strict=True))
        for chosen in itertools.permutations(range(len(cells)), len(wanted))
    )
    content = "x,n\n" + "".join(f"{x},{n}\n" for x, n in rows)
    spec = TableSpec.model_validate({"path": "a.csv", "contains_rows": wanted})
    try:
        table_found(spec, content.encode())
    except Miss:
        assert not possible
    else:
        assert possible
