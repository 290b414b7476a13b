// Sends calls with @segment/analytics-node; the job is JSON on stdin.
const job = JSON.parse(require('fs').readFileSync(0, 'utf8'))
require('./skewed').skew(job.skew)
const { Analytics } = require(process.env.CLIENT_PACKAGE)

const errors = []
const client = new Analytics({ writeKey: job.key, host: job.host, flushInterval: 100, maxRetries: job.retries })
client.on('error', (error) => errors.push(String(error.reason || error.code || error)))
for (const { type, ...call } of job.calls) client[type](call)
client.closeAndFlush({ timeout: 60000 }).then(() => console.log(JSON.stringify({ errors })))
