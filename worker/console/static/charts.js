// Draws every [data-chart] with uPlot, from the figures that also stand in the table below it.
"use strict";
(() => {
  const colours = ["--line-1", "--line-2", "--line-3", "--line-4"];
  const draw = (place) => {
    const { x, lines } = JSON.parse(place.dataset.chart);
    const style = getComputedStyle(place);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--plot-text"), grid: { stroke: colour("--plot-grid"), width: 1 }, ticks: { show: false } };
    const size = () => ({ width: Math.max(place.clientWidth, 240), height: 200 });
    place.replaceChildren();
    const plot = new uPlot(
      {
        ...size(),
        cursor: { points: { size: 6 } },
        legend: { live: true },
        axes: [axis, { ...axis, size: 56 }],
        scales: { y: { range: (_, low, high) => [Math.min(low, 0), high > 0 ? high * 1.1 : 1] } },
        series: [
          {},
          ...lines.map((line, number) => ({
            label: line.label,
            stroke: colour(colours[number % colours.length]),
            dash: number % 2 ? [6, 4] : undefined,
            width: 2,
            points: { show: x.length < 40, size: 5 },
            value: (_, value) => (value == null ? "–" : `${value.toLocaleString("en")}${line.unit ? " " + line.unit : ""}`),
          })),
        ],
      },
      [x, ...lines.map((line) => line.values)],
      place,
    );
    new ResizeObserver(() => plot.setSize(size())).observe(place);
  };
  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  all();
  document.addEventListener("slipway:refreshed", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
