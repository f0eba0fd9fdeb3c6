from channels_core.documentation import see


def test_it_names_the_page_and_the_section() -> None:
    assert see("Channel layers", "Groups") == (
        "Documentation: page 'Channel layers', section 'Groups'."
    )
