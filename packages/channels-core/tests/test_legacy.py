from channels_core import _dispatch, applications, legacy


def test_it_gives_the_names_of_their_owners() -> None:
    assert legacy.await_many_dispatch is _dispatch.await_many_dispatch
    assert legacy.name_that_thing is applications.name_that_thing


def test_nothing_else_is_public() -> None:
    assert legacy.__all__ == ["await_many_dispatch", "name_that_thing"]
