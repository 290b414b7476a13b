// The page reads without this. It folds the contents on a narrow screen.
(function () {
  "use strict";

  var contents = document.querySelector("nav details");
  var wide = window.matchMedia("(min-width: 1120px)");
  function fold() { contents.open = wide.matches; }
  fold();
  wide.addEventListener("change", fold);
})();
