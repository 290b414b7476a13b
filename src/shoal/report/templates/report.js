// The page reads without this. It folds the contents on a narrow screen, keeps the tab key short,
// and lets the reader pick the two segments to compare.
(function () {
  "use strict";

  var contents = document.querySelector("nav details");
  var wide = window.matchMedia("(min-width: 1120px)");
  function fold() { contents.open = wide.matches; }
  fold();
  wide.addEventListener("change", fold);

  // What has nothing to scroll need not stop the tab key.
  var sideways = document.querySelectorAll(".scroll, .sideways");
  function reach() {
    sideways.forEach(function (box) {
      var scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      box.tabIndex = scrolls ? 0 : -1;
    });
  }
  reach();
  window.addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);

  var stored = document.getElementById("pair-data");
  if (!stored) { return; }
  var data = JSON.parse(stored.textContent);
  var table = document.getElementById("pair-table");
  var body = table.tBodies[0];
  var rows = Array.prototype.slice.call(body.rows);
  var pickers = ["first", "second"].map(function (which) {
    return document.getElementById("pair-" + which);
  });

  function move(mark, attribute, place) {
    mark.style.display = place === null ? "none" : "";
    if (place !== null) { mark.setAttribute(attribute, place + "%"); }
  }

  function apart(row, chosen) {
    return row.sizes ? Math.abs(row.sizes[chosen[0]] - row.sizes[chosen[1]]) : Infinity;
  }

  function show() {
    var chosen = pickers.map(function (picker) { return Number(picker.value); });
    chosen.forEach(function (segment, place) {
      table.tHead.rows[0].cells[1 + place].textContent = pickers[place].options[segment].text;
      rows.forEach(function (row, order) {
        row.cells[1 + place].textContent = data.rows[order].shown[segment];
      });
    });
    rows.forEach(function (row, order) {
      var at = data.rows[order].at;
      if (!at) { return; }
      move(row.querySelector(".first"), "cx", at[chosen[0]]);
      move(row.querySelector(".second"), "x", at[chosen[1]]);
    });
    var ranked = rows.map(function (_, order) { return order; });
    ranked.sort(function (a, b) {
      var difference = apart(data.rows[b], chosen) - apart(data.rows[a], chosen);
      return difference > 0 ? 1 : difference < 0 ? -1 : a - b;
    });
    ranked.forEach(function (order) { body.appendChild(rows[order]); });
    var features = ranked.filter(function (order) { return data.rows[order].sizes; });
    features.forEach(function (order, rank) { rows[order].hidden = rank >= data.shown; });
    var said = document.getElementById("pair-widest");
    if (said) {
      var values = {
        first: data.names[chosen[0]],
        second: data.names[chosen[1]],
        features: features.slice(0, data.named).map(function (order) {
          return data.rows[order].label;
        }).join(data.comma)
      };
      said.textContent = data.widest.replace(/\{(\w+)\}/g, function (_, name) {
        return values[name];
      });
    }
  }

  document.querySelector(".pickers").hidden = false;
  pickers.forEach(function (picker) { picker.addEventListener("change", show); });
  show();  // a reloaded page keeps what was picked
})();
