// A tick box that ticks all the others of its form. Without JavaScript it stays hidden.
"use strict";
(() => {
  const prepare = () => {
    document.querySelectorAll("[data-tick-all]").forEach((all) => {
      all.closest("label").hidden = false;
    });
  };
  document.addEventListener("change", (event) => {
    const all = event.target;
    if (!all.matches("[data-tick-all]")) return;
    all.form.querySelectorAll("input[type=checkbox][name]").forEach((box) => {
      box.checked = all.checked;
    });
  });
  document.addEventListener("slipway:refreshed", prepare);
  prepare();
})();
