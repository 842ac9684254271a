"""The field table, third part: volumes (see fields.py)."""

TABLE = """
VolumeMount  a volume at a path of the container
    mountPath          string  applied      where, in the container
    mountPropagation   string  later=None   whether later mounts are seen on the other side
    name               string  applied      of the volume
    readOnly           bool    applied      the volume can't be written here
    recursiveReadOnly  string  later=Disabled  nor what is mounted below it
    subPath            string  later        a path within the volume
    subPathExpr        string  later        the same, with $(NAME)

VolumeDevice  a block device at a path of the container
    devicePath  string  -  where, in the container
    name        string  -  of the volume

Volume  a named volume of the pod, with one source; an emptyDir when none is given
    awsElasticBlockStore   object                refused  a disk of Amazon's cloud; not here
    azureDisk              object                refused  a disk of Microsoft's cloud; not here
    azureFile              object                refused  a share of Microsoft's cloud; not here
    cephfs                 object                refused  no longer in Kubernetes
    cinder                 object                refused  a disk of OpenStack; not here
    configMap              ConfigMapVolumeSource  later    the keys of a ConfigMap as files
    csi                    CSIVolumeSource       refused  needs a cluster storage driver; not here
    downwardAPI            DownwardAPIVolumeSource  later    fields of the pod as files
    emptyDir               EmptyDirVolumeSource  applied  empty at first, shared by the containers, gone with the pod
    ephemeral              EphemeralVolumeSource  later    a claim that lives as long as the pod
    fc                     object                refused  a Fibre Channel disk; not here
    flexVolume             object                refused  no longer recommended by Kubernetes; needs a driver
    flocker                object                refused  no longer in Kubernetes
    gcePersistentDisk      object                refused  a disk of Google's cloud; not here
    gitRepo                object                refused  no longer in Kubernetes: clone in an init container
    glusterfs              object                refused  no longer in Kubernetes
    hostPath               HostPathVolumeSource  applied  a path of the host
    image                  ImageVolumeSource     later    the content of an image, read-only
    iscsi                  object                refused  an iSCSI disk; not here
    name                   string                applied  unique in the pod
    nfs                    NFSVolumeSource       later    a share of an NFS server
    persistentVolumeClaim  PersistentVolumeClaimVolumeSource  later    storage that outlives the pod
    photonPersistentDisk   object                refused  no longer in Kubernetes
    portworxVolume         object                refused  needs a cluster storage driver; not here
    projected              ProjectedVolumeSource  later    several of these in one directory
    quobyte                object                refused  no longer in Kubernetes
    rbd                    object                refused  no longer in Kubernetes
    scaleIO                object                refused  no longer in Kubernetes
    secret                 SecretVolumeSource    later    the keys of a Secret as files
    storageos              object                refused  no longer in Kubernetes
    vsphereVolume          object                refused  a disk of VMware's; not here

EmptyDirVolumeSource  a directory that is empty at first and lives as long as the pod
    medium     string    applied  Memory: a tmpfs; absent: what the node is set to
    sizeLimit  Quantity  applied  the most it may hold

HostPathVolumeSource  a path of the host
    path  string  applied  on the host
    type  string  applied  what must be there, or is made by an …OrCreate

ConfigMapVolumeSource  the keys of a ConfigMap as files
    defaultMode  int32        -  of the files; 0644 when absent
    items        []KeyToPath  -  only these keys
    name         string       -  of the ConfigMap
    optional     bool         -  it may be missing

SecretVolumeSource  the keys of a Secret as files
    defaultMode  int32        -  of the files; 0644 when absent
    items        []KeyToPath  -  only these keys
    optional     bool         -  it may be missing
    secretName   string       -  of the Secret

KeyToPath  a key and its file
    key   string  -  the key
    mode  int32   -  of the file
    path  string  -  within the volume

DownwardAPIVolumeSource  fields of the pod as files
    defaultMode  int32                 -  of the files; 0644 when absent
    items        []DownwardAPIVolumeFile  -  the files

DownwardAPIVolumeFile  a field of the pod and its file
    fieldRef          ObjectFieldSelector   -  a field of the pod
    mode              int32                 -  of the file
    path              string                -  within the volume
    resourceFieldRef  ResourceFieldSelector  -  a container's request or limit

ProjectedVolumeSource  several sources in one directory
    defaultMode  int32               -  of the files; 0644 when absent
    sources      []VolumeProjection  -  what is in it

VolumeProjection  one of the sources
    clusterTrustBundle   ClusterTrustBundleProjection  -  certificates of the cluster
    configMap            ConfigMapProjection   -  keys of a ConfigMap
    downwardAPI          DownwardAPIProjection  -  fields of the pod
    podCertificate       PodCertificateProjection  -  a certificate for the pod
    secret               SecretProjection      -  keys of a Secret
    serviceAccountToken  ServiceAccountTokenProjection  -  a token for the API

ClusterTrustBundleProjection  certificates of the cluster
    labelSelector  LabelSelector  -  which bundles
    name           string         -  which bundle
    optional       bool           -  it may be missing
    path           string         -  of the file
    signerName     string         -  whose bundles

ConfigMapProjection  keys of a ConfigMap
    items     []KeyToPath  -  only these keys
    name      string       -  of the ConfigMap
    optional  bool         -  it may be missing

SecretProjection  keys of a Secret
    items     []KeyToPath  -  only these keys
    name      string       -  of the Secret
    optional  bool         -  it may be missing

DownwardAPIProjection  fields of the pod
    items  []DownwardAPIVolumeFile  -  the files

PodCertificateProjection  a certificate for the pod
    certificateChainPath  string             -  file of the chain
    credentialBundlePath  string             -  file of key and chain
    keyPath               string             -  file of the key
    keyType               string             -  kind of key
    maxExpirationSeconds  int32              -  its longest life
    signerName            string             -  who signs
    userAnnotations       map[string]string  -  for the signer

ServiceAccountTokenProjection  a token for the API
    audience           string  -  who shall accept it
    expirationSeconds  int64   -  its life; 3600 when absent
    path               string  -  of the file

PersistentVolumeClaimVolumeSource  storage that outlives the pod
    claimName  string  -  of the claim
    readOnly   bool    -  it can't be written

EphemeralVolumeSource  a claim that lives as long as the pod
    volumeClaimTemplate  PersistentVolumeClaimTemplate  -  what the claim looks like

PersistentVolumeClaimTemplate  what a claim looks like
    metadata  object                -  its labels and annotations
    spec      PersistentVolumeClaimSpec  -  its specification

PersistentVolumeClaimSpec  what storage is claimed
    accessModes                []string       -  e.g. ReadWriteOnce
    dataSource                 object         -  what it is filled from
    dataSourceRef              object         -  what it is filled from
    resources                  object         -  its size
    selector                   LabelSelector  -  which volumes
    storageClassName           string         -  its class
    volumeAttributesClassName  string         -  its class of attributes
    volumeMode                 string         -  Filesystem or Block
    volumeName                 string         -  one volume

ImageVolumeSource  the content of an image
    pullPolicy  string  -  Always, IfNotPresent or Never
    reference   string  -  the image

NFSVolumeSource  a share of an NFS server
    path      string  -  of the share
    readOnly  bool    -  it can't be written
    server    string  -  its name or address

CSIVolumeSource  a volume of a storage driver
    driver                string                -  which driver
    fsType                string                -  its file system
    nodePublishSecretRef  LocalObjectReference  -  credentials for the driver
    readOnly              bool                  -  it can't be written
    volumeAttributes      map[string]string     -  for the driver
"""
