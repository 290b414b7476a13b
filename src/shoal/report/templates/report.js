// Draws each figure when it comes near the screen, and all of them before printing.
(function () {
  "use strict";
  var PAPER_WIDTH = 660;  // CSS pixels that fit a portrait page of A4 or Letter with its margins
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
  } else {
    drawAll();
  }

  window.addEventListener("beforeprint", function () {
    drawAll();
    canvases.forEach(function (canvas) { Plotly.relayout(canvas, { width: PAPER_WIDTH, autosize: false }); });
  });
  window.addEventListener("afterprint", function () {
    canvases.forEach(function (canvas) { Plotly.relayout(canvas, { width: null, autosize: true }); });
  });
})();
