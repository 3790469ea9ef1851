// Uploads a file, and prints its URL at the end: node upload.js ENDPOINT FILE METADATA-AS-JSON [CHUNK-BYTES]
const fs = require("fs");
const tus = require("tus-js-client");

const [endpoint, path, metadata, chunkSize] = process.argv.slice(2);
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint,
  metadata: JSON.parse(metadata),
  uploadSize: fs.statSync(path).size,
  chunkSize: chunkSize ? Number(chunkSize) : Infinity,
  retryDelays: [0, 100, 500, 1000],
  onError: (error) => {
    console.error(String(error));
    process.exitCode = 1;
  },
  onSuccess: () => console.log(upload.url),
});
upload.start();
