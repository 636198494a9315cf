"""How the page looks: fonts of the visitor's own machine, one accent, light and dark."""

from __future__ import annotations

import gradio as gr

SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto; }
.gradio-container > main, .gradio-container .wrap > .contain { width: 100%; }
#head h1 { font-size: 1.7rem; letter-spacing: -.02em; margin: .2rem 0 0; }
#head p { margin: .15rem 0 .3rem; color: var(--body-text-color-subdued); }
#line p, #film-line p, #camera-line p { color: var(--body-text-color-subdued); margin: 0; }
@media (max-width: 640px) { .gradio-container { padding: .5rem !important; } #head h1 { font-size: 1.4rem; } }
"""


def theme() -> gr.themes.Base:
    """Return Gradio's plain theme without a font that would be fetched."""
    fonts = [gr.themes.Font(name) for name in SANS]
    mono = [gr.themes.Font(name) for name in MONO]
    return gr.themes.Default(
        primary_hue=gr.themes.colors.orange,
        secondary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.stone,
        font=fonts,
        font_mono=mono,
        radius_size=gr.themes.sizes.radius_md,
    )
