// Sends calls with @rudderstack/rudder-sdk-node; the job is JSON on stdin.
const job = JSON.parse(require('fs').readFileSync(0, 'utf8'))
require('./skewed').skew(job.skew)
const Analytics = require(process.env.CLIENT_PACKAGE)

const errors = []
const client = new Analytics(job.key, {
  dataPlaneUrl: job.host, gzip: job.gzip, flushInterval: 100, retryCount: job.retries, logLevel: 'silly',
  errorHandler: (error) => errors.push(String(error)),
})
let left = job.calls.length
const done = () => {
  left -= 1
  if (!left) {
    console.log(JSON.stringify({ errors }))
    process.exit(0)
  }
}
for (const { type, ...call } of job.calls) client[type](call, done)
client.flush()
