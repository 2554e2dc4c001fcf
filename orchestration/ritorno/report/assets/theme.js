// Runs before the page is painted, so that a chosen theme doesn't flash. A browser may forbid storage: then per page.
(function () {
  let chosen = null;
  try { chosen = localStorage.getItem("ritorno-theme"); } catch (error) { /* private mode */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
