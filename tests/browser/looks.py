"""What every page owes to its readers, on a wide and a narrow screen, in light and in dark.

The rules are those of WCAG 2.2 that can be told from the page alone: 1.3.1 (headings, labels), 1.4.3 (contrast), 1.4.10
(no scrolling in two directions), 2.4.2 (a title), 2.4.7 (a visible focus), 3.1.1 (the language).
"""

from typing import Final, Literal

from playwright.sync_api import Page

WIDTHS: Final = (1280, 390)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

_STRUCTURE: Final = """() => {
  const found = [], all = selector => [...document.querySelectorAll(selector)];
  const name = node => `<${node.localName}${node.id ? ' #' + node.id : ''}> ${node.textContent.trim().slice(0, 30)}`;
  if (!document.documentElement.lang) found.push('the page has no language');
  if (!document.title.trim()) found.push('the page has no title');
  const levels = all('h1, h2, h3, h4, h5, h6').map(heading => Number(heading.localName[1]));
  if (levels[0] !== 1 || levels.filter(level => level === 1).length !== 1) found.push(`headings: ${levels}`);
  levels.forEach((level, place) => {
    if (place && level > levels[place - 1] + 1) found.push(`headings skip a level: ${levels}`);
  });
  if (all('main').length !== 1) found.push('the page has no one main part');
  for (const field of all('input:not([type=hidden]), select, textarea'))
    if (!field.labels.length || !field.labels[0].textContent.trim()) found.push(`no label: ${name(field)}`);
  for (const act of all('a, button')) {
    if (!act.textContent.trim()) found.push(`nothing to read: ${name(act)}`);
    if (act.localName === 'a' && !act.getAttribute('href')) found.push(`a link to nowhere: ${name(act)}`);
  }
  const ids = all('[id]').map(node => node.id);
  for (const id of new Set(ids)) if (ids.filter(one => one === id).length > 1) found.push(`two have the id ${id}`);
  return found;
}"""

_SIGHT: Final = """() => {
  const found = [];
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = rgb => rgb.slice(0, 3).map(one => light(one / 255))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const rgba = numbers(getComputedStyle(at).backgroundColor);
      if (rgba.length < 4 || rgba[3] === 1) return rgba;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    const holder = text.parentElement, style = getComputedStyle(holder);
    if (!text.data.trim() || !holder.getClientRects().length) continue;
    const pair = [luminance(numbers(style.color)), luminance(ground(holder))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) found.push(`contrast ${contrast.toFixed(2)}: ${text.data.trim().slice(0, 40)}`);
  }
  const page = document.scrollingElement;
  if (page.scrollWidth > innerWidth) found.push(`wider than the screen: ${page.scrollWidth} of ${innerWidth}`);
  for (const node of document.querySelectorAll('main, main *')) {
    const box = node.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 1 || box.left < -1)) found.push(`cut off: <${node.localName}>`);
  }
  return found;
}"""

_FOCUS: Final = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  if (at === document.body) return null;
  const outline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return {name: `<${at.localName}> ${at.textContent.trim().slice(0, 30)}`, shown: outline};
}"""
MOST_STOPS: Final = 12


def complaints(page: Page) -> list[str]:
    """What is wrong with the page that is shown, in words; empty where nothing is. Leaves it as wide as it was."""
    page.wait_for_load_state()  # with what it looks like: on a busy machine that comes after its text
    found: list[str] = list(page.evaluate(_STRUCTURE))
    before = page.viewport_size
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found += [f"{width} px, {scheme}: {one}" for one in page.evaluate(_SIGHT)]
    found += _unseen_focus(page)
    if before is not None:
        page.set_viewport_size(before)
    return found


def _unseen_focus(page: Page) -> list[str]:
    """Where the tab key leads to without a mark that one can see."""
    found = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_FOCUS)
        if stop is None:
            break
        if not stop["shown"]:
            found.append(f"the focus cannot be seen: {stop['name']}")
    return found
