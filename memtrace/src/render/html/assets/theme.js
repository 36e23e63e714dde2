// Light or dark: as the system has it, unless the reader says otherwise.

const THEMES = ['system', 'light', 'dark'];

/** Listens to the button; `changed` is called when colours are others. */
function listenToTheme(changed) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const button = byId('theme');
  let chosen = THEMES[0];
  const apply = () => {
    const dark = chosen === 'dark' || (chosen === 'system' && system.matches);
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    button.textContent = `Theme: ${chosen}`;
    changed();
  };
  button.addEventListener('click', () => {
    chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
    apply();
  });
  system.addEventListener('change', apply);
  apply();
}
