// Draws a figure when it comes near the screen, the others one by one meanwhile, and all of them
// before printing.
(function () {
  "use strict";
  var PAUSE_MS = 40;  // leaves the page responsive between two figures
  // CSS pixels that fit a portrait page of A4 or Letter with its margins, and half of it.
  var PAPER_WIDTH = 660;
  var COLUMN_WIDTH = 316;
  var canvases = Array.prototype.slice.call(document.querySelectorAll("[data-figure]"));
  var config = { displayModeBar: false, responsive: true, scrollZoom: false, typesetMath: false };

  function draw(canvas) {
    if (canvas.dataset.drawn) { return; }
    canvas.dataset.drawn = "yes";
    var spec = JSON.parse(document.getElementById(canvas.dataset.figure).textContent);
    Plotly.newPlot(canvas, spec.data, spec.layout, config);
  }

  function drawAll() { canvases.forEach(draw); }

  if ("IntersectionObserver" in window) {
    var watcher = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (entry.isIntersecting) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      });
    }, { rootMargin: "800px" });
    canvases.forEach(function (canvas) { watcher.observe(canvas); });
  }

  var next = 0;
  function drawNext() {
    while (next < canvases.length && canvases[next].dataset.drawn) { next += 1; }
    if (next < canvases.length) {
      draw(canvases[next]);
      window.setTimeout(drawNext, PAUSE_MS);
    }
  }
  window.setTimeout(drawNext, PAUSE_MS);

  window.addEventListener("beforeprint", function () {
    drawAll();
    canvases.forEach(function (canvas) {
      var width = canvas.closest(".columns") ? COLUMN_WIDTH : PAPER_WIDTH;
      Plotly.relayout(canvas, { width: width, autosize: false });
    });
  });
  window.addEventListener("afterprint", function () {
    canvases.forEach(function (canvas) { Plotly.relayout(canvas, { width: null, autosize: true }); });
  });
})();
