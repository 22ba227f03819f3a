// Draws every [data-chart] with uPlot, from the figures that also stand in the table below it.
"use strict";
(() => {
  const colours = ["--line-1", "--line-2", "--line-3", "--line-4"];
  const draw = (place) => {
    const { x, lines } = JSON.parse(place.dataset.chart);
    // A canvas takes no light-dark() and no variable: let an element work the colour out.
    const colour = (name) => {
      const probe = document.createElement("span");
      probe.style.color = `var(${name})`;
      place.append(probe);
      return getComputedStyle(probe).color;
    };
    const twoDigits = (number) => String(number).padStart(2, "0");
    const clock = (seconds) => {
      const at = new Date(seconds * 1000);
      return `${twoDigits(at.getUTCHours())}:${twoDigits(at.getUTCMinutes())}`;
    };
    // Whole numbers only: there is no quarter of a notice.
    const steps = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));
    const axis = { stroke: colour("--plot-text"), grid: { stroke: colour("--plot-grid"), width: 1 }, ticks: { show: false } };
    const size = () => ({ width: Math.max(place.clientWidth - 16, 240), height: 200 });
    const strokes = colours.map(colour);
    place.replaceChildren();
    const plot = new uPlot(
      {
        ...size(),
        cursor: { points: { size: 6 } },
        legend: { live: true },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        axes: [{ ...axis, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 56, incrs: steps }],
        scales: { y: { range: (_, low, high) => [Math.min(low, 0), high > 0 ? high * 1.1 : 1] } },
        series: [
          { label: "UTC", value: (_, seconds) => (seconds == null ? "–" : clock(seconds)) },
          ...lines.map((line, number) => ({
            label: line.label,
            stroke: strokes[number % strokes.length],
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
    let width = 0; // an empty place has none: the first call gives the plot its size
    new ResizeObserver(() => {
      if (place.clientWidth === width) return;
      width = place.clientWidth;
      requestAnimationFrame(() => plot.setSize(size()));
    }).observe(place);
  };
  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  all();
  document.addEventListener("slipway:refreshed", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
