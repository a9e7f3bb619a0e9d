// What the app knows of Scopefold. There is no secret: everybody can read this file.
const SETTINGS = {
  authority: "http://127.0.0.1:8080",
  client_id: "spa",
};
