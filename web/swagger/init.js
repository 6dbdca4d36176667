// Starts Swagger UI on the page's own OpenAPI document; a file, because the page allows no inline script.
const place = document.getElementById("swagger-ui");
window.ui = window.SwaggerUIBundle({
  url: place.dataset.url,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null,
});
